"""What a report could not tell, and why."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

TURNS = threading.RLock()  # warnings are caught for the whole process: its threads take turns


class Notes(list[str]):
    """Sentences, each once, in the order in which they came up."""

    def add(self, text: str) -> None:
        if text not in self:
            self.append(text)

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Within it, an error or a warning becomes a note that begins with ``what``: one measure less, not no report.

        Interrupts pass.
        """
        with self.listening(what):
            try:
                yield
            except Exception as error:  # whatever a stranger's network raises
                self.add(f"{what}: {error or type(error).__name__}")

    @contextlib.contextmanager
    def listening(self, what: str) -> Iterator[None]:
        """Within it, a warning becomes a note; an error passes."""
        with TURNS, warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            yield
        for warning in told:
            self.add(f"{what}: {warning.message}")
