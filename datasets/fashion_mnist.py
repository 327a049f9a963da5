from typing import ClassVar

from rdu_bench.api import Card, IDXImages


class FashionMNIST(IDXImages):
    """Fashion-MNIST: 70,000 articles of clothing of 28×28 pixels, binarised or grey.

    The classes of `article`, from 0: T-shirt or top, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, and
    ankle boot.

    `images` is "all", where test is the official one and a tenth of the 60,000 validates (54,000, 6,000 and 10,000), or
    "t10k", the 10,000 test images alone with a fixed split of 7,000, 1,000 and 2,000.  `limit` keeps that many examples
    at most of each split.  H(x) is unknown.

    `pixels` is "binary": the 256 grey levels are binarised once by a fixed named seed, each pixel 1 with probability
    level/255; or "grey": x is the level with uniform noise of one step added once, from 0 to 256, under a Gaussian.  D
    is then at least the nats that the stored bytes take, see `Dequantised`.

    The files are looked for in the data folder, then where a package of the system installs them: no data folder need
    be named after `apt-get install dataset-fashion-mnist`.
    """

    card = Card(
        title="Fashion-MNIST",
        source="Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747",
        shape="1×28×28, binary, or grey as `pixels` says",
        task="article",
        provides=("labels", "image", "binary"),
        files="Fashion-MNIST's IDX files, plain or gzipped, in fashion-mnist/, or Debian's dataset-fashion-mnist",
    )
    called, factor_name = "Fashion-MNIST", "article"
    folders = ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw")
    installed = "fashion-mnist"
    known: ClassVar[dict[str, str]] = {
        "t10k-images-idx3": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "train-images-idx3": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    }

    def load(
        self, *, images: str = "all", pixels: str = "binary", limit: int | None = None, data_dir: str | None = None
    ) -> None:
        """`data_dir` is the data folder, by default the one that the command line or the environment names."""
        self.fill(images, pixels, limit, data_dir)

    def missing(
        self, *, images: str = "all", pixels: str = "binary", data_dir: str | None = None, **params: object
    ) -> str:
        return self.lacking(images, pixels, data_dir)
