"""A real redis-server on a free loopback port, ended by its pid by whoever started it."""

import shutil
import signal
import socket
import subprocess

MISSING = "redis-server is not installed; run `apt-get install redis-server`"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


READY = "eady to accept connections", "+monitor master"  # a server's word, and a sentinel's


class RedisProcess:
    """One server in one directory; keeps its port when it is started again."""

    def __init__(self, directory, *options, tls=False):
        assert shutil.which("redis-server"), MISSING
        self.directory = directory
        self.options = options
        self.tls = tls
        self.port = 0
        self.process = None

    def start(self):
        for _ in range(20):  # another process may take the port between asking and binding
            port = self.port or free_port()
            self.process = subprocess.Popen(
                ["redis-server", *self.arguments(port)],
                cwd=self.directory,
                stdout=subprocess.PIPE,
                text=True,
            )
            if any(word in line for line in self.process.stdout for word in READY):
                self.port = port
                return self
            self.end()
        raise AssertionError("redis-server did not start")

    def arguments(self, port):
        ports = ["--port", "0", "--tls-port", str(port)] if self.tls else ["--port", str(port)]
        return [*ports, "--bind", "127.0.0.1", "--save", "", *self.options]

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"

    def url(self, user="", database=0):
        scheme = "rediss" if self.tls else "redis"
        return f"{scheme}://{user}127.0.0.1:{self.port}/{database}"

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.end()

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.end()


class SentinelProcess(RedisProcess):
    """A sentinel of one master, called `salon`, that two must agree on to replace."""

    def __init__(self, directory, master):
        super().__init__(directory)
        self.master = master

    def arguments(self, port):
        config = self.directory / "sentinel.conf"
        if not config.exists():  # it writes into the file itself what it learns
            lines = [
                f"port {port}",
                "bind 127.0.0.1",
                f"sentinel monitor salon 127.0.0.1 {self.master.port} 2",
                "sentinel down-after-milliseconds salon 300",
                "sentinel failover-timeout salon 3000",
            ]
            config.write_text("\n".join(lines), encoding="utf-8")
        return [str(config), "--sentinel"]


class ClusterNode(RedisProcess):
    """A node of a cluster, with a bus port of its own."""

    def __init__(self, directory):
        super().__init__(directory, "--appendonly", "yes", "--appendfsync", "always")
        self.bus = free_port()

    def arguments(self, port):
        cluster = ["--cluster-enabled", "yes", "--cluster-port", str(self.bus)]
        return [*super().arguments(port), *cluster, "--cluster-node-timeout", "1000"]
