"""A disk with a volatile write cache, which loses it when the power is cut.

    lossy_disk.py IMAGE MOUNTPOINT SEED

Serves the file IMAGE through FUSE as the file MOUNTPOINT, to be used as a loop device. A write is
certain once a flush followed it. At the line `cut all|none|mix` on standard input the process
decides what became of the blocks written since the last flush (all of them are on the disk, none,
or for each block any of its versions), leaves the result in IMAGE, and ends. The kernel then fails
all further requests, as a disk without power does. At the end of standard input it ends without
losing anything.

The protocol is spoken directly (linux/fuse.h), because a file system of one file needs few of its
messages and Debian's bindings are a package more.
"""

import ctypes
import mmap
import os
import random
import select
import struct
import sys

BLOCK = 4096
MAX_WRITE = 128 * 1024
FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE = 2, 3, 4, 14, 15, 16, 17, 18
FSYNC, FLUSH, INIT, INTERRUPT, DESTROY, BATCH_FORGET = 20, 25, 26, 36, 38, 42
ENOSYS = 38


class Disk:
    """The image, and for each block written since the last flush all it has held."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        self.size = os.path.getsize(path)
        self.image = mmap.mmap(self.file.fileno(), self.size)
        self.versions = {}
        self.flushes = 0

    def block(self, number):
        return self.image[number * BLOCK : (number + 1) * BLOCK]

    def write(self, offset, data):
        blocks = range(offset // BLOCK, (offset + len(data) - 1) // BLOCK + 1)
        for number in blocks:
            self.versions.setdefault(number, [self.block(number)])
        self.image[offset : offset + len(data)] = data
        for number in blocks:
            self.versions[number].append(self.block(number))

    def flush(self):
        self.versions.clear()
        self.flushes += 1

    def cut(self, mode, rng):
        """Decides what is on the disk; gives the number of blocks that lost their last version."""
        lost = 0
        for number, versions in self.versions.items():
            kept = {"all": -1, "none": 0}.get(mode)
            version = rng.choice(versions) if kept is None else versions[kept]
            lost += version != versions[-1]
            self.image[number * BLOCK : (number + 1) * BLOCK] = version
        self.image.flush()
        return lost


def attributes(disk):
    mode = 0o100600
    return struct.pack(
        "<6Q10I", 1, disk.size, disk.size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, BLOCK, 0
    )


def answer(disk, opcode, body):
    """The answer's body; `None` if nobody waits for one; an integer for an error."""
    if opcode == INIT:
        minor = min(struct.unpack_from("<2I", body)[1], 31)
        return struct.pack("<4I2H2I2HI7I", 7, minor, 0, 0, 16, 12, MAX_WRITE, 1, 32, 0, 0, *[0] * 7)
    if opcode in (GETATTR, SETATTR):
        return struct.pack("<QII", 3600, 0, 0) + attributes(disk)
    if opcode == OPEN:
        return struct.pack("<QIi", 0, 0, 0)
    if opcode == READ:
        _, offset, size = struct.unpack_from("<QQI", body)
        return disk.image[offset : offset + size]
    if opcode == WRITE:
        _, offset, size = struct.unpack_from("<QQI", body)
        disk.write(offset, body[40 : 40 + size])
        return struct.pack("<II", size, 0)
    if opcode == FSYNC:
        disk.flush()
        return b""
    if opcode == STATFS:
        return struct.pack("<5Q4I6I", 1 << 20, 0, 0, 1, 0, BLOCK, 255, BLOCK, 0, *[0] * 6)
    if opcode in (RELEASE, FLUSH, DESTROY):
        return b""
    return None if opcode in (FORGET, INTERRUPT, BATCH_FORGET) else -ENOSYS


def mount(device, mountpoint):
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=100600,user_id=0,group_id=0".encode()
    if libc.mount(b"lossy-disk", mountpoint.encode(), b"fuse", 2 | 4, options) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot mount FUSE at {mountpoint}: {os.strerror(error)}")


def serve(disk, device, rng):
    while True:
        ready, _, _ = select.select([device, sys.stdin], [], [])
        if sys.stdin in ready:
            command = sys.stdin.readline().split()
            if command:
                waiting = len(disk.versions)
                lost = disk.cut(command[1], rng)
                print(f"cut {waiting} {lost} {disk.flushes}", flush=True)
            return
        try:
            request = os.read(device, MAX_WRITE + 4096)
        except (BlockingIOError, InterruptedError, FileNotFoundError):
            continue
        except OSError:
            return
        _, opcode, unique = struct.unpack_from("<IIQ", request)
        body = answer(disk, opcode, request[40:])
        if body is None:
            continue
        error, body = (body, b"") if isinstance(body, int) else (0, body)
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def main():
    path, mountpoint, seed = sys.argv[1:]
    disk = Disk(path)
    device = os.open("/dev/fuse", os.O_RDWR)
    mount(device, mountpoint)
    print("mounted", flush=True)
    serve(disk, device, random.Random(seed))


if __name__ == "__main__":
    main()
