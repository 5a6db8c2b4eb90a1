"""A server that is watched: whom it calls, and what it thinks names stand for.

net_shim.c is compiled here and preloaded into the server, and into nothing else.
"""

import ipaddress
import os
import subprocess

import shopbell

HERE = os.path.dirname(os.path.abspath(__file__))


class Watched:
    """A cluster and a server of their own: no other instance takes its deliveries.
    `names` maps a name to its answers; an answer is a list of addresses."""

    def __init__(self, home, names, **environment):
        self.home = str(home)
        self.log_path = os.path.join(self.home, "connects")
        self.names_path = os.path.join(self.home, "names")
        shim = os.path.join(self.home, "net_shim.so")
        subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", shim,
                        os.path.join(HERE, "net_shim.c"), "-ldl"], check=True)
        self.set_names(names)
        self.cluster = shopbell.Cluster()
        # The sanitizer's library wants to be the first; it is the first but one.
        asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.server = shopbell.Server(
            self.cluster, self.home, ASAN_OPTIONS=asan, NET_SHIM_NAMES=self.names_path,
            NET_SHIM_LOG=self.log_path, **environment)
        self.server.migrate()
        self.server.environment["LD_PRELOAD"] = shim
        self.server.start()

    def set_names(self, names):
        with open(self.names_path, "w", encoding="ascii") as f:
            for name, answers in names.items():
                f.write(" ".join([name, *(",".join(answer) for answer in answers)]) + "\n")

    def connects(self):
        """(address, port) of each connect() so far, in order."""
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, encoding="ascii") as f:
            return [(a, int(p)) for a, p in (line.split() for line in f)]

    def close(self):
        self.server.stop()
        self.cluster.remove()


def is_denied(text):
    """By Python's copy of IANA's registries, after the IPv4 inside was taken out."""
    address = ipaddress.ip_address(text)
    if address.version == 6:
        inside = address.ipv4_mapped
        if inside is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inside = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        if inside is None and int(address) >> 32 == 0:
            inside = ipaddress.ip_address(int(address) & 0xFFFFFFFF)
        if inside is None and address not in ipaddress.ip_network("2000::/3"):
            return True
        address = inside or address
    return not address.is_global or address.is_multicast or str(address) == "168.63.129.16"
