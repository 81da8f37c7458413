"""Times the optimizer steps of a Trainer, whichever it is, and counts the real tokens that go into them."""

import statistics
import time
from collections.abc import Callable

import torch
from transformers import Trainer, TrainerCallback

WARM_UP, WINDOW = 4, 3  # optimizer steps


class Clock(TrainerCallback):
    """The tokens a second of some windows of steps, after the first ones; and the kernels of some steps after the last window.

    Args:
        collate: the Trainer's own collator, in whose place this one stands.
        count: the real tokens of the rows that it is given.
        accumulation: batches an optimizer step.
        windows: how many.
        profiled: steps whose kernels are recorded.
    """

    def __init__(self, collate: Callable, count: Callable[[list], int], accumulation: int, windows: int, profiled: int = 0):
        self._collate, self._count, self._accumulation = collate, count, accumulation
        self._timed, self._profiled = WARM_UP + WINDOW * windows, profiled
        self._tokens: list[int] = []
        self._ends: list[float] = []
        gpu = [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else None  # None: the CPU
        self._profiler = torch.profiler.profile(activities=gpu)

    def __call__(self, rows: list) -> dict[str, torch.Tensor]:
        self._tokens.append(self._count(rows))
        return self._collate(rows)

    def on_step_end(self, args, state, control, **kwargs):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())
        if self._profiled and len(self._ends) == self._timed:
            self._profiler.start()
        elif self._profiled and len(self._ends) == self._timed + self._profiled:
            self._profiler.stop()
        control.should_training_stop = len(self._ends) == self._timed + self._profiled

    def train(self, trainer: Trainer) -> dict:
        """Train as far as there is something to measure; the figures."""
        trainer.data_collator = self
        trainer.add_callback(self)
        trainer.train()
        per_step = [sum(self._tokens[i : i + self._accumulation]) for i in range(0, len(self._tokens), self._accumulation)]
        rates = []
        for start in range(WARM_UP, self._timed, WINDOW):
            seconds = self._ends[start + WINDOW - 1] - self._ends[start - 1]
            rates.append(sum(per_step[start : start + WINDOW]) / seconds)
        figures = {
            "tokens_per_second": round(statistics.median(rates)),
            "lowest": round(min(rates)),
            "highest": round(max(rates)),
            "tokens_per_step": round(statistics.mean(per_step[WARM_UP : self._timed])),
            "peak_gpu_memory_gb": peak_gpu_memory(),
        }
        return figures | ({"kernels": self._kernels()} if self._profiled else {})

    def _kernels(self, most: int = 30) -> dict[str, float]:
        """Milliseconds a step by kernel, of the `most` that take longest, and of the `rest`."""
        events = self._profiler.key_averages()
        device = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        times = {event.key: getattr(event, device) / 1e3 / self._profiled for event in events}
        longest = sorted(times, key=times.get, reverse=True)
        shown = {key[:120]: round(times[key], 2) for key in longest[:most]}
        return {**shown, "rest": round(sum(times[key] for key in longest[most:]), 2)}


def peak_gpu_memory() -> float:
    """What torch has held of the GPU's memory, in GB; 0 without one."""
    return round(torch.cuda.max_memory_reserved() / 1e9, 1) if torch.cuda.is_available() else 0.0
