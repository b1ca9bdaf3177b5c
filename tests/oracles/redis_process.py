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
            ports = ["--port", "0", "--tls-port", str(port)] if self.tls else ["--port", str(port)]
            self.process = subprocess.Popen(
                ["redis-server", *ports, "--bind", "127.0.0.1", "--save", "", *self.options],
                cwd=self.directory,
                stdout=subprocess.PIPE,
                text=True,
            )
            if any("eady to accept connections" in line for line in self.process.stdout):
                self.port = port
                return self
            self.end()
        raise AssertionError("redis-server did not start")

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
