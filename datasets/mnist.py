from typing import ClassVar

from rdu_bench.api import Card, IDXImages


class MNIST(IDXImages):
    """MNIST: 70,000 handwritten digits of 28×28 pixels, binarised or grey.

    `images` is "t10k", the 10,000 test images alone with a fixed split of 7,000, 1,000 and 2,000, or "all", where test
    is the official one and a tenth of the 60,000 validates.  It is asked for and never guessed from the files there
    are, so that the same settings mean the same data everywhere.  `limit` keeps that many examples at most of each
    split.  H(x) is unknown.

    `pixels` is "binary": the 256 grey levels are binarised once by a fixed named seed, each pixel 1 with probability
    level/255; or "grey": x is the level with uniform noise of one step added once, from 0 to 256, under a Gaussian.  D
    is then at least the nats that the stored bytes take, see `Dequantised`.
    """

    card = Card(
        title="MNIST",
        source="LeCun, Cortes & Burges (1998)",
        shape="1×28×28, binary, or grey as `pixels` says",
        task="digit",
        provides=("labels", "image", "binary"),
        files="MNIST's IDX files, plain or gzipped (t10k-images-idx3-ubyte.gz, …), in mnist/",
    )
    called, factor_name = "MNIST", "digit"
    folders = ("mnist", "MNIST/raw", ".")
    known: ClassVar[dict[str, str]] = {
        "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    }

    def load(
        self, *, images: str = "t10k", pixels: str = "binary", limit: int | None = None, data_dir: str | None = None
    ) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(images, pixels, limit, data_dir)

    def missing(
        self, *, images: str = "t10k", pixels: str = "binary", data_dir: str | None = None, **params: object
    ) -> str:
        return self.lacking(images, pixels, data_dir)
