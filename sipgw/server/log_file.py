"""Where the log goes: standard error, or a file that is opened anew when it has been moved away."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from sipgw.config import Config, ConfigError
from sipgw.observability.log import configure


class LogFile:
    """Appends. A disk that is full costs lines of the log, which are counted, and nothing else."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.path = path
        self.lost = 0
        self._file: TextIO = _opened(path)

    def write(self, text: str) -> int:
        try:
            if self.lost:
                text, self.lost = f"{self.lost} lines of this log could not be written\n{text}", 0
            return self._file.write(text)
        except OSError:
            self.lost += 1
            return 0

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            self.lost += 1

    def isatty(self) -> bool:
        return False

    def reopen(self) -> None:
        """Go on in a file of that name, a new one when the old was moved away. Raises OSError; then it goes on as it
        was."""
        old, self._file = self._file, _opened(self.path)
        _close(old)

    def close(self) -> None:
        _close(self._file)


def _opened(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8", errors="backslashreplace")


def _close(file: TextIO) -> None:
    with suppress(OSError):  # what was not written yet
        file.close()


class LogOutput:
    """What this process writes its log to. `set_up` goes by a configuration, the first or another one."""

    def __init__(self) -> None:
        self._file: LogFile | None = None

    def check(self, config: Config) -> None:
        """Raises ConfigError for a file that could not be written."""
        settings = config.log
        if settings.file is not None:
            try:
                _opened(settings.file).close()
            except OSError as error:
                advice = "name one that this user can write"
                text = f"{settings.file}: {error.strerror}; {advice}"
                raise ConfigError([config.problem(("log", "file"), text)]) from None

    def set_up(self, config: Config) -> None:
        """Raises ConfigError, and then nothing has changed."""
        self.check(config)
        settings = config.log
        before = self._file
        if settings.file is None:
            self._file = None
        elif before is None or before.path != settings.file:
            self._file = LogFile(settings.file)
        configure(settings.format, settings.level, self._file)
        if before is not None and before is not self._file:
            before.close()

    def reopen(self) -> None:
        """After the file was moved away, as logrotate does; without a file nothing."""
        if self._file is not None:
            try:
                self._file.reopen()
            except OSError as error:
                print(f"sipgw: {self._file.path} cannot be opened anew: {error.strerror}", file=sys.stderr)


OUTPUT = LogOutput()  # one for the process, as its signals and its standard error are
