"""What the step of `danube bench egress` does: a round for each file that the bench makes, and a line for each."""

import os
import socket
import struct
import sys
import time

ADDRESS, NAMESERVER, ROUNDS, MEGABYTES = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def direct(name):
    """The address of a name, asked of the world's own nameserver."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(10)
        datagrams.connect((NAMESERVER, 53))
        datagrams.send(struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
        return socket.inet_ntoa(datagrams.recv(512)[-4:])


def rate():
    with socket.create_connection((ADDRESS, 80), timeout=60) as stream:
        stream.sendall(b"%d\n" % (MEGABYTES << 20))
        left, began = MEGABYTES << 20, time.monotonic()
        buffer = bytearray(1 << 20)
        while left:
            left -= stream.recv_into(buffer)
        return MEGABYTES / (time.monotonic() - began)


for number in range(ROUNDS):
    while not os.path.exists(f"round-{number}"):
        time.sleep(0.001)
    filtered = open(f"round-{number}").read() == "filtered"
    name = f"n{number}.example.com"
    began = time.monotonic()
    address = socket.gethostbyname(name) if filtered else direct(name)
    with socket.create_connection((address, 80), timeout=10):
        first = (time.monotonic() - began) * 1000
    print("round", number, first, rate(), flush=True)
    open(f"done-{number}", "w").close()
