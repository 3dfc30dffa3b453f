"""Units over the nodes of a Ray cluster, with Ray Data (extra `scale`): the same work as that of a local process.

Each node needs Handlens and, unless the bundle is the one that ships, the bundle and the photos at the same paths.
Without a cluster (`RAY_ADDRESS`) Ray starts one of this machine.
"""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, cast

from handlens.batch.answering import Answering
from handlens.batch.errors import WorkersError
from handlens.batch.units import Asked, Outcome, Unit, crashed

__all__ = ["RayEngine"]

_UNITS: Final = 4096
"""Units of the first data set, and the fewest of one that is not the last."""
_UNITS_A_WORKER: Final = 512
"""Of the others. Actors load the bundle anew for every data set, and the driver holds its outcomes, some KB each."""
_PARCEL: Final = 8
_LARGE_PARCEL: Final = 32
"""Units that an actor is given at once: of large data sets more, as Ray has work with every parcel."""


class RayEngine:
    """Actors with one processor each, as many as `workers` says or the cluster has."""

    def __init__(self, asked: Asked, *, workers: int | None = None) -> None:
        self._asked, self._workers = asked, workers

    def outcomes(self, units: Iterable[Unit]) -> Iterator[Outcome]:
        """One outcome a unit, in their order. Raises WorkersError."""
        # Nothing is told to anybody about the use of the software.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        source, size = iter(units), _UNITS
        started = False
        try:
            while some := list(islice(source, size)):
                if not ray.is_initialized():
                    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
                    started = True
                size = max(_UNITS, _UNITS_A_WORKER * self._pool())
                found = self._computed(some)
                # A photo that ends the process that decodes it takes those beside it along: once more, one by one.
                if not found and len(some) > 1:
                    raise WorkersError(
                        "no node of the cluster could do any of the work: is Handlens there, and the bundle?"
                    )
                lost = [unit for unit in some if unit.key not in found]
                for unit in lost:
                    found |= self._computed([unit])
                yield from (found.get(unit.key) or crashed(unit) for unit in some)
        finally:
            if started:
                ray.shutdown()

    def _pool(self) -> int:
        if self._workers:
            return self._workers
        import ray

        resources: dict[str, float] = cast(Any, ray).cluster_resources()
        return max(1, int(resources.get("CPU", 1)))

    def _computed(self, units: list[Unit]) -> dict[bytes, Outcome]:
        """What came of the units, by key; those of a parcel whose actor died are missing."""
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.max_errored_blocks = -1
        # It tells of every data set, also where nothing is to be said; what fails is a row or an error.
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        parcels = -(-len(units) // (_PARCEL if len(units) <= _UNITS else _LARGE_PARCEL))
        workers = min(self._pool(), parcels)
        try:
            packed = ray.data.from_items([{"unit": pickle.dumps(unit)} for unit in units], override_num_blocks=parcels)
            answered = packed.map_batches(
                _Actor,
                fn_constructor_args=(self._asked,),
                compute=ray.data.ActorPoolStrategy(size=workers),
                batch_size=None,
                batch_format="pyarrow",
                num_cpus=1,
            )
            outcomes = (pickle.loads(row["outcome"]) for row in answered.iter_rows())
            return {outcome.key: outcome for outcome in outcomes}
        except ray.exceptions.RayError as error:
            raise WorkersError(f"Ray cannot do the work: {type(error).__name__}: {error}") from error


class _Actor:
    def __init__(self, asked: Asked) -> None:
        self._answering = Answering(asked)

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        units = [pickle.loads(packed) for packed in table.column("unit").to_pylist()]
        return pa.table({"outcome": [pickle.dumps(outcome) for outcome in self._answering.outcomes(units)]})
