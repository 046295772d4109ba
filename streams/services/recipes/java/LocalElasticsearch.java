// Start one Elasticsearch node in this JVM; the launcher of the official distribution is not published on Maven Central.
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

public class LocalElasticsearch {
    /** args: the home directory (lib/, modules/), the configuration directory. */
    public static void main(String[] args) throws Exception {
        LogConfigurator.setNodeName("node-1");
        LogConfigurator.configureESLogging();
        var settings = Settings.builder().put("path.home", args[0]).build();
        var environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), Path.of(args[1]), () -> "node-1");
        var bundles = PluginsLoader.loadModulesBundles(environment.modulesDir(), false);
        Node node = new Node(environment, PluginsLoader.createPluginsLoader(bundles, Set.of(), Map.of(), false));
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.prepareForClose();
                node.close();
                node.awaitClose(10, TimeUnit.SECONDS);
            } catch (Exception error) {
                error.printStackTrace();
            }
            stopped.countDown();
        }));
        node.start();
        stopped.await();
    }
}
