"""Small files in the formats that disentanglement_lib reads, and data sets that read them in the place of full ones."""

import struct
import zipfile
from io import BytesIO

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat

from rdu_bench import registry

DSPRITES = {"shape": 3, "scale": 2, "orientation": 4, "position_x": 3, "position_y": 2}
SHAPES3D = {"floor_hue": 2, "wall_hue": 3, "object_hue": 2, "scale": 2, "shape": 4, "orientation": 3}
MPI3D = {
    "object_colour": 5, "object_shape": 4, "object_size": 2, "camera_height": 1, "background_colour": 2,
    "horizontal_axis": 2, "vertical_axis": 3,
}  # fmt: skip
CARS3D = {"elevation": 2, "azimuth": 3, "object": 4}
SMALLNORB = {"category": 2, "_instance": 4, "elevation": 2, "azimuth": 3, "lighting": 2}
ALL = {"dsprites": DSPRITES, "shapes3d": SHAPES3D, "mpi3d": MPI3D, "cars3d": CARS3D, "smallnorb": SMALLNORB}
DSPRITES_FILE = "dsprites/dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
SHAPES3D_FILES = (
    "3dshapes/3dshapes.h5",
    "3dshapes/look-at-object-room_floor-hueXwall-hueXobj-hueXobj-sizeXobj-shapeXview-azi.npz",
)


def count(sizes):
    return int(np.prod(list(sizes.values())))


def draw(*shape, top=256):
    return np.random.default_rng(0).integers(0, top, shape).astype(np.uint8)


def grid(sizes):
    """All combinations (N, K), the last factor running fastest."""
    return np.ascontiguousarray(np.indices(tuple(sizes)).reshape(len(sizes), -1).T)


def small(monkeypatch, name):
    """Let the data set take files of the small grid for whole ones."""
    kind = registry.load("datasets", name)
    module = __import__("sys").modules[kind.__module__]
    monkeypatch.setattr(module, "SIZES", ALL[name])
    if name == "smallnorb":
        monkeypatch.setattr(module, "PARTS", ("train", "test"))


def npz(path, **arrays):
    """An .npz file; bytes are the content of a member as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key, array in arrays.items():
            content = array
            if not isinstance(array, bytes):
                stream = BytesIO()
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=True)
                content = stream.getvalue()
            file.writestr(f"{key}.npy", content)
    return path


def dsprites_arrays():
    classes = grid((1, *DSPRITES.values()))
    sizes = np.array([1, *DSPRITES.values()])
    names = ("color", "shape", "scale", "orientation", "posX", "posY")
    return {
        "metadata": np.array(
            {"title": "dSprites dataset", "latents_names": names, "latents_sizes": sizes}, dtype=object
        ),
        "imgs": draw(len(classes), 64, 64, top=2),
        "latents_classes": classes.astype(np.int64),
        "latents_values": classes / sizes,
    }


def shapes3d_arrays():
    classes = grid(tuple(SHAPES3D.values()))
    return {
        "images": draw(len(classes), 64, 64, 3),
        "labels": classes * [0.1, 0.1, 0.1, 0.07, 1, 4.3] - [0, 0, 0, 0, 0, 30],
    }


def hdf5(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip")
    return path


def norb(array):
    """The bytes of a matrix of NORB."""
    magic = {"uint8": 0x1E3D4C55, "int32": 0x1E3D4C54}[array.dtype.name]
    shape = [*array.shape, *[1] * (3 - array.ndim)]
    return struct.pack(f"<ii{len(shape)}i", magic, array.ndim, *shape) + array.tobytes()


def norb_arrays():
    """By part, its matrices; rows are in no order, as in the original."""
    classes = grid(tuple(SMALLNORB.values())).astype(np.int32)
    classes[:, 3] *= 2
    order = np.random.default_rng(1).permutation(len(classes))
    classes, parts = classes[order], {}
    for part, rows in {"train": classes[: len(classes) // 2], "test": classes[len(classes) // 2 :]}.items():
        images = np.random.default_rng(len(part)).integers(0, 256, (len(rows), 2, 96, 96)).astype(np.uint8)
        parts[part] = {"dat": images, "cat": rows[:, 0].copy(), "info": np.ascontiguousarray(rows[:, 1:])}
    return parts


def put(folder, name):
    """Write the small files of a data set where disentanglement_lib expects the full ones."""
    if name == "dsprites":
        npz(folder / DSPRITES_FILE, **dsprites_arrays())
    elif name == "shapes3d":
        hdf5(folder / SHAPES3D_FILES[0], **shapes3d_arrays())
    elif name == "mpi3d":
        npz(folder / "mpi3d_toy/mpi3d_toy.npz", images=draw(count(MPI3D), 64, 64, 3))
    elif name == "cars3d":
        (folder / "cars").mkdir()
        for i in range(CARS3D["object"]):
            im = np.random.default_rng(i).integers(0, 256, (128, 128, 3, CARS3D["azimuth"], CARS3D["elevation"]))
            savemat(folder / f"cars/car_{i + 1:03d}_mesh.mat", {"im": im.astype(np.uint8)}, do_compression=True)
    elif name == "smallnorb":
        (folder / "small_norb").mkdir()
        for part, matrices in norb_arrays().items():
            for what, matrix in matrices.items():
                (folder / f"small_norb/smallnorb-{part}-{what}.mat").write_bytes(norb(matrix))


def scream(folder, size=(400, 300)):
    """A picture to take patches from."""
    (folder / "scream").mkdir()
    Image.fromarray(draw(size[1], size[0], 3)).save(folder / "scream/scream.jpg")
