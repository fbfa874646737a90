"""The networks, loaded once and kept for the next study."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .bundles.library import model_folders, stamp
from .options import AnalysisOptions

if TYPE_CHECKING:
    from .pipeline.analyze import Engine


def load_engine(options: AnalysisOptions) -> Engine:
    """The ensemble that the options name, on their device."""
    from .pipeline.analyze import Engine

    return Engine(**options.engine_arguments())


class WarmEngine:
    """Called with options, gives the engine for them: that of the last call, or one that `load` makes anew."""

    def __init__(self, load: Callable[[AnalysisOptions], Any] = load_engine) -> None:
        self._load = load
        self.forget()

    def __call__(self, options: AnalysisOptions) -> Any:
        # Networks that were added to the folders or removed since count, too.
        made_of = (*options.engine_arguments().values(), stamp(model_folders(options.models_dir)))
        if self._engine is None or self._made_of != made_of:
            self.forget()  # the old networks go before the new ones come, so that both never share the memory
            self._engine = self._load(options)
            self._made_of = made_of
        return self._engine

    def forget(self) -> None:
        """Let the networks go."""
        self._engine: Any = None
        self._made_of: tuple[object, ...] = ()
