"""File systems for a round: small ones, and ones whose power can be cut.

The driver lives in a mount namespace of its own, so that the kernel undoes all mounts when the
driver's processes are gone, whatever ended them; a loop device goes with the last use of it.
"""

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14
# The smallest image that mkfs takes, in MiB.
SIZES = {"ext4": 64, "xfs": 300, "btrfs": 256}
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


class Impossible(Exception):
    """This machine, or this user, can't have such a file system."""


def own_namespace():
    """Moves this process into a mount namespace of its own; `Impossible` if it may not."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNS if user == 0 else CLONE_NEWNS | CLONE_NEWUSER
    if libc.unshare(flags) != 0:
        raise Impossible(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise Impossible(f"no private mounts: {os.strerror(ctypes.get_errno())}")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Impossible(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout.strip()


def unmount(path):
    """Unmounts, and waits for processes that were killed to let go of it."""
    for _ in range(200):
        if f" {path} " not in Path("/proc/self/mountinfo").read_text():
            return
        if subprocess.run(["umount", path], capture_output=True).returncode != 0:
            time.sleep(0.02)
    subprocess.run(["umount", "--lazy", path], capture_output=True)


@functools.cache
def file_systems():
    """Those of which an image can be made and mounted here."""
    possible = []
    for kind in SIZES:
        base = Path(tempfile.mkdtemp(prefix="faults-probe-"))
        try:
            image = Image(base, kind)
            image.mount()
            image.close()
            possible.append(kind)
        except Impossible:
            pass
        shutil.rmtree(base, ignore_errors=True)
    return possible


class Small:
    """A tmpfs of a few MiB, or of a few inodes."""

    def __init__(self, path, options):
        self.path = path
        path.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", path)

    def close(self):
        unmount(self.path)
        self.path.rmdir()


class Image:
    """A file system in a file, mounted through a loop device."""

    def __init__(self, base, kind, mib=None):
        if shutil.which(MKFS[kind][0]) is None:
            raise Impossible(f"{MKFS[kind][0]} is not installed")
        self.file = base / f"{kind}.img"
        self.path = base / kind
        self.path.mkdir()
        with open(self.file, "wb") as file:
            file.truncate((mib or SIZES[kind]) << 20)
        run(*MKFS[kind], self.file)

    def mount(self, file=None):
        device = run("losetup", "--find", "--show", file or self.file)
        try:
            run("mount", device, self.path)
        finally:
            # It stays as long as it is mounted.
            run("losetup", "--detach", device)

    def close(self):
        unmount(self.path)
        self.path.rmdir()
        self.file.unlink()


class PoweredImage(Image):
    """An image on a disk whose power can be cut, once for each `power_on`."""

    def power_on(self, seed):
        self.disk_file = self.file.with_suffix(".disk")
        self.disk_file.touch()
        self.disk = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("lossy_disk.py"), self.file]
            + [self.disk_file, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if self.disk.stdout.readline() != "mounted\n":
            raise Impossible(self.disk.stderr.read().strip().splitlines()[-1])
        self.mount(self.disk_file)

    def cut(self, mode):
        """From now on nothing reaches the disk; gives how many blocks it had not flushed, and how
        many of those lost something."""
        self.disk.stdin.write(f"cut {mode}\n")
        self.disk.stdin.flush()
        said = self.disk.stdout.readline().split()
        self.disk.wait()
        return int(said[1]), int(said[2])

    def power_off(self):
        """After a cut, and when nothing runs on it any more."""
        unmount(self.path)
        unmount(self.disk_file)
        self.disk_file.unlink(missing_ok=True)

    def close(self):
        if hasattr(self, "disk") and self.disk.poll() is None:
            self.disk.kill()
            self.disk.wait()
        unmount(self.path)
        if hasattr(self, "disk"):
            self.power_off()
        self.path.rmdir()
        self.file.unlink()
