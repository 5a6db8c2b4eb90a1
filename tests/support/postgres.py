"""A PostgreSQL of its own: a temporary directory, a Unix socket in it, no TCP, no fsync.

As root the server runs as user postgres, because it refuses to run as root.
"""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

# Who runs many tests makes one; see template().
TEMPLATE = "SHOPBELL_TEST_PG_TEMPLATE"
SETTINGS = {"listen_addresses": "", "fsync": "off", "full_page_writes": "off",
            "shared_buffers": "64MB", "max_connections": "100", "log_min_messages": "panic"}


def programs():
    """The folder of initdb and postgres; None where PostgreSQL is not installed."""
    found = os.environ.get("SHOPBELL_TEST_PG_BIN")
    if found:
        return found
    versions = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if versions:
        return os.path.dirname(max(versions, key=lambda path: float(path.split("/")[4])))
    initdb = shutil.which("initdb")
    return os.path.dirname(os.path.realpath(initdb)) if initdb else None


def make_home():
    """(a folder of the server's user, that user or None for our own)."""
    # Short, because the path of a Unix socket may have 107 bytes.
    home = tempfile.mkdtemp(prefix="sbt-", dir="/tmp")
    if os.geteuid() != 0:
        return home, None
    owner = pwd.getpwnam("postgres")
    os.chown(home, owner.pw_uid, owner.pw_gid)
    os.chmod(home, 0o755)
    return home, "postgres"


def initdb(home, data, user):
    subprocess.run(
        [f"{programs()}/initdb", "-D", data, "-U", "shopbell", "-A", "trust", "-E", "UTF8",
         "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
        check=True, stdout=subprocess.DEVNULL, user=user, cwd=home)


class Template:
    """What initdb makes, once: while this stands, clusters begin as copies of it, which
    takes a tenth of the time."""

    def __init__(self):
        self.home, user = make_home()
        data = os.path.join(self.home, "data")
        initdb(self.home, data, user)
        os.environ[TEMPLATE] = data

    def remove(self):
        del os.environ[TEMPLATE]
        shutil.rmtree(self.home, ignore_errors=True)


class Cluster:
    def __init__(self, settings=None):
        self.bin = programs()
        self.home, self.user = make_home()
        self.data = os.path.join(self.home, "data")
        self.settings = {**SETTINGS, **(settings or {})}
        self.process = None
        if os.environ.get(TEMPLATE):
            subprocess.run(["cp", "-a", os.environ[TEMPLATE], self.data], check=True)
        else:
            initdb(self.home, self.data, self.user)
        self.start()
        subprocess.run([f"{self.bin}/createdb", "-h", self.home, "-U", "shopbell", "shopbell"],
                       check=True)

    @property
    def url(self):
        return f"postgresql://shopbell@/shopbell?host={self.home}"

    def start(self):
        command = [f"{self.bin}/postgres", "-D", self.data, "-k", self.home]
        for name, value in self.settings.items():
            command += ["-c", f"{name}={value}"]
        self.process = subprocess.Popen(command, user=self.user, cwd=self.home,
                                        stdin=subprocess.DEVNULL)
        ready = [f"{self.bin}/pg_isready", "-q", "-h", self.home, "-U", "shopbell",
                 "-d", "postgres"]
        deadline = time.monotonic() + 120
        while subprocess.run(ready).returncode != 0:
            assert self.process.poll() is None, "PostgreSQL does not start"
            assert time.monotonic() < deadline, "PostgreSQL is not ready"
            time.sleep(0.05)

    def stop(self, how="fast"):
        """how: fast, or immediate (a crash: no checkpoint, WAL is replayed)."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            self.process.wait(120)

    def remove(self):
        """What is left behind needs no good end."""
        self.stop("immediate")
        shutil.rmtree(self.home, ignore_errors=True)
