"""benchmarks/step_timer.py: tokens a second over windows of optimizer steps."""

import step_timer


def test_a_rate_counts_the_tokens_and_seconds_of_its_window(monkeypatch):
    """Each step takes a second and two batches of 30 tokens."""
    seconds = iter(range(100))
    monkeypatch.setattr(step_timer.time, "perf_counter", lambda: next(seconds))

    class Trainer:
        def add_callback(self, callback):
            self.callback = callback

        def train(self):
            control = type("Control", (), {"should_training_stop": False})()
            while not control.should_training_stop:
                for _ in range(2):
                    assert self.data_collator([10, 10, 10]) == "a batch"
                self.callback.on_step_end(None, None, control)

    timer = step_timer.StepTimer(lambda rows: "a batch", sum, gradient_accumulation_steps=2, windows=3)
    figures = timer.train(Trainer())
    assert {figures[name] for name in ("tokens_per_second", "lowest", "highest", "tokens_per_step")} == {60}
