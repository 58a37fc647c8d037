"""What a training can show of itself, in TensorBoard."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from regvq.training.base import ModelTraining


class PictureLogger(Callback):
    """On every validation: the training's ``pictures`` and ``histograms``.

    Does nothing where no TensorBoard logger is attached.
    """

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ModelTraining)
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not boards:
            return
        pictures, histograms = pl_module.pictures(), pl_module.histograms()
        for board in boards:
            for name, picture in pictures.items():
                board.experiment.add_image(f"val/{name}", picture, trainer.global_step)
            for name, values in histograms.items():
                board.experiment.add_histogram(f"val/{name}", values, trainer.global_step)
