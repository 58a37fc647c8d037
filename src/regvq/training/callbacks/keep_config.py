"""The run's configuration, written down once the run has begun."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from regvq.files import write_bytes


class KeepConfig(Callback):
    """Writes the effective configuration when the first step is due.

    Not before: data that is missing would leave a folder that no new run may use, and a checkpoint that
    is refused would leave the configuration that it was refused for.

    Args:
        path: of the file.
        text: YAML.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            write_bytes(self.path, self.text.encode())
