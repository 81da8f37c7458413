"""Which data a run's figures are about: ViGGO's, the synthetic sample's, or a user's own."""

from dataclasses import dataclass

from viggo_pipe.config.settings.dataset import DatasetSettings

# GEM/viggo's three CSV files at commit 93e5029f04770d863000dbe491a6a51c3b7fa1ee.
VIGGO_SHA256 = {
    "train": "39d4bf7ef5b7b78c1c137d05d461e779884ad08cf53e0ee6cf63c3653c5f8aae",
    "validation": "c4d4b3b5075d84c1645cccd678e665e0d2a40226e3e9a383270a5c666006adbc",
    "test": "020f24199655b4c6f9246123263d2c6d3ea01189046150153dcc6cf8b914037a",
}


@dataclass(frozen=True)
class DataProvenance:
    """What the data are.

    Attributes:
        is_viggo: the published files, byte for byte: their checksums stand in params.yaml, and `fetch`
            verified them.
        name: what to call them.
        note: a sentence that says what their figures may be compared with.
    """

    is_viggo: bool
    name: str
    note: str


def data_provenance(settings: DatasetSettings) -> DataProvenance:
    """What the data of section `dataset` are. Only verified files count as ViGGO's, whatever their source is
    called.
    """
    if settings.source == "sample":
        return DataProvenance(
            False,
            "synthetic sample",
            "These figures are the synthetic sample's, not ViGGO's: they show that the pipeline works, "
            "and compare with no published figure.",
        )
    if settings.sha256.model_dump() == VIGGO_SHA256:
        share = (
            f" Trained on {settings.train_share:.1%} of the training rows."
            if settings.train_share < 1
            else ""
        )
        return DataProvenance(
            True, "ViGGO", f"These figures are ViGGO's: its published files, verified by checksum.{share}"
        )
    where = settings.repo if settings.source == "hub" else "own files"
    return DataProvenance(
        False,
        where,
        f"These figures are those of {where}, which are not verified to be ViGGO's published files "
        "(dataset.sha256).",
    )
