"""A server that is watched: whom it calls, and what it thinks names stand for (net_shim.c)."""

import ipaddress
import os

import shopbell


class Watched:
    """A cluster and a server of their own: no other instance takes its deliveries.
    `names` maps a name to its answers; an answer is a list of addresses."""

    def __init__(self, home, names, **environment):
        self.home = str(home)
        self.log_path = os.path.join(self.home, "connects")
        self.names_path = os.path.join(self.home, "names")
        self.set_names(names)
        self.cluster = shopbell.Cluster()
        self.server = shopbell.Server(
            self.cluster, self.home, NET_SHIM_NAMES=self.names_path, NET_SHIM_LOG=self.log_path,
            **shopbell.preloaded("net_shim"), **environment).migrate().start()

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
