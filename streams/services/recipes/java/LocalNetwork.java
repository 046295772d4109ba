// TLS and logins at the door of a secure set's node: the security module is not published on Maven Central, the HTTP module has room for both.
// local.tls.file: key and certificate (PEM), read again when the file is replaced. local.logins.file: a line for each login,
// NAME SHA256-OF-THE-PASSWORD and then, tab by tab, METHODS PATH: what it may do, a regular expression for all of the path.
import io.netty.channel.Channel;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.QueryStringDecoder;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import org.elasticsearch.ElasticsearchStatusException;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.common.util.PageCacheRecycler;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.http.HttpPreRequest;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.http.netty4.Netty4HttpServerTransport;
import org.elasticsearch.indices.breaker.CircuitBreakerService;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.telemetry.TelemetryProvider;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.transport.netty4.SharedGroupFactory;
import org.elasticsearch.transport.netty4.TLSConfig;
import org.elasticsearch.xcontent.NamedXContentRegistry;

public class LocalNetwork extends Netty4Plugin {
    private static final Setting<String> TLS = Setting.simpleString("local.tls.file", Setting.Property.NodeScope);
    private static final Setting<String> LOGINS = Setting.simpleString("local.logins.file", Setting.Property.NodeScope);

    @Override
    public List<Setting<?>> getSettings() {
        var all = new ArrayList<Setting<?>>(super.getSettings());
        all.addAll(List.of(TLS, LOGINS));
        return all;
    }

    @Override
    public Map<String, Supplier<HttpServerTransport>> getHttpTransports(
            Settings settings, ThreadPool threadPool, BigArrays bigArrays, PageCacheRecycler recycler, CircuitBreakerService breakers,
            NamedXContentRegistry registry, NetworkService network, HttpServerTransport.Dispatcher dispatcher,
            BiConsumer<HttpPreRequest, ThreadContext> perRequest, ClusterSettings clusterSettings, TelemetryProvider telemetry) {
        if (TLS.get(settings).isEmpty()) {
            return super.getHttpTransports(
                settings, threadPool, bigArrays, recycler, breakers, registry, network, dispatcher, perRequest, clusterSettings, telemetry);
        }
        var door = new Door(Path.of(TLS.get(settings)), Path.of(LOGINS.get(settings)));
        return Map.of(NETTY_HTTP_TRANSPORT_NAME, () -> new Netty4HttpServerTransport(
            settings, network, threadPool, registry, dispatcher, clusterSettings, new SharedGroupFactory(settings), telemetry,
            new TLSConfig((host, port) -> door.engine()), null, door::check) {
            @Override
            protected void populatePerRequestThreadContext(RestRequest request, ThreadContext context) {
                perRequest.accept(request.getHttpRequest(), context);
            }
        });
    }

    record Right(Set<String> methods, Pattern path) {}

    record Login(byte[] digest, List<Right> rights) {}

    /** Who may come in. A request without a login that fits gets 401, one without the right 403; its body is not looked at. */
    static final class Door {
        private static final Pattern PEM = Pattern.compile("-----BEGIN ([A-Z ]+)-----([^-]+)-----END");
        private final Path file;
        private final Map<String, Login> logins = new HashMap<>();
        private FileTime read;
        private SSLContext context;

        Door(Path file, Path logins) {
            this.file = file;
            try {
                for (String line : Files.readAllLines(logins)) {
                    addLogin(line.split("\t"));
                }
                engine();
            } catch (Exception error) {
                throw new IllegalStateException("cannot read " + file + " and " + logins, error);
            }
        }

        private void addLogin(String[] parts) {
            var rights = new ArrayList<Right>();
            for (int at = 2; at + 1 < parts.length; at += 2) {
                rights.add(new Right(Set.of(parts[at].split(",")), Pattern.compile(parts[at + 1])));
            }
            logins.put(parts[0], new Login(HexFormat.of().parseHex(parts[1]), rights));
        }

        /** For a new connection. A file that cannot be read leaves the certificate that there was. */
        synchronized SSLEngine engine() {
            try {
                FileTime now = Files.getLastModifiedTime(file);
                if (!now.equals(read)) {
                    context = contextOf(Files.readString(file));
                    read = now;
                }
            } catch (Exception error) {
                if (context == null) {
                    throw new IllegalStateException("cannot read " + file, error);
                }
            }
            SSLEngine engine = context.createSSLEngine();
            engine.setUseClientMode(false);
            return engine;
        }

        private static SSLContext contextOf(String text) throws Exception {
            PKCS8EncodedKeySpec key = null;
            var chain = new ArrayList<Certificate>();
            for (var found = PEM.matcher(text); found.find();) {
                byte[] bytes = Base64.getMimeDecoder().decode(found.group(2));
                if (found.group(1).equals("PRIVATE KEY")) {
                    key = new PKCS8EncodedKeySpec(bytes);
                } else {
                    chain.add(CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(bytes)));
                }
            }
            char[] none = new char[0];
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, none);
            store.setKeyEntry("node", KeyFactory.getInstance("EC").generatePrivate(key), none, chain.toArray(Certificate[]::new));
            var managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            managers.init(store, none);
            SSLContext made = SSLContext.getInstance("TLS");
            made.init(managers.getKeyManagers(), null, null);
            return made;
        }

        void check(HttpRequest request, Channel channel, ActionListener<Void> listener) {
            RestStatus refusal;
            try {
                refusal = refusalOf(request);
            } catch (Exception error) {
                refusal = RestStatus.UNAUTHORIZED; // a header that is no login
            }
            if (refusal == null) {
                listener.onResponse(null);
            } else {
                listener.onFailure(new ElasticsearchStatusException("this login may not do that, or there is none", refusal));
            }
        }

        private RestStatus refusalOf(HttpRequest request) throws Exception {
            String header = request.headers().get("Authorization");
            if (header == null || !header.startsWith("Basic ")) {
                return RestStatus.UNAUTHORIZED;
            }
            String[] given = new String(Base64.getDecoder().decode(header.substring(6)), StandardCharsets.UTF_8).split(":", 2);
            Login login = logins.get(given[0]);
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(given[1].getBytes(StandardCharsets.UTF_8));
            if (login == null || !MessageDigest.isEqual(digest, login.digest())) {
                return RestStatus.UNAUTHORIZED;
            }
            String method = request.method().name();
            String path = new QueryStringDecoder(request.uri()).path();
            boolean allowed = login.rights().stream().anyMatch(right -> right.methods().contains(method) && right.path().matcher(path).matches());
            return allowed ? null : RestStatus.FORBIDDEN;
        }
    }
}
