"""Units of systemd for `birdnet-nl watch` and `birdnet-nl serve`: hardened, and always after the station itself."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from birdnet_nl.stations.database import SERVICE_PATH
from birdnet_nl.util.errors import SetupError

UNITS = Path("etc/systemd/system")  # below the root of the file system
SECRETS = Path("etc/birdnet_nl/secrets.env")
STATE, CACHE = "birdnet_nl", "birdnet_nl"  # below /var/lib and /var/cache
PAGE_UNIT = "birdnet-nl-serve.service"
SECRET_NAMES = {
    "BIRDNET_NL_MQTT_PASSWORD": "password of the MQTT broker",
    "BIRDNET_NL_GO_PASSWORD": "password of BirdNET-Go, for watch birdnet-go --comment",
    "BIRDNET_NL_GO_TOKEN": "token of BirdNET-Go, in place of its password",
    "BIRDNET_NL_WEBHOOK": "address of the webhook; other users see --webhook in the list of processes",
    "BIRDNET_NL_WEBHOOK_TOKEN": "token that the webhook asks for",
    "BIRDNET_NL_TOKEN": "token of the live page, needed where it is opened to other computers; at least 16 characters",
}
PRIVATE_FOLDERS = (".ssh", ".gnupg", ".aws", ".config/rclone")  # of the user
HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077"""


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of the services of one station.

    Attributes:
        station: kind, e.g. `birdnet-pi`.
        user, group, home: of the account that the services run as; never root.
        program: path of `birdnet-nl`, or of Python with `-m` and the module.
        watch: arguments after `birdnet-nl watch <station>`.
        page: arguments after `birdnet-nl serve`; None without the page.
        folders: folders of the station, which stay read-only.
        memory_mb: limit of each service; above it the kernel ends the service, and systemd starts it again.
    """

    station: str
    user: str
    group: str
    home: Path
    program: tuple[str, ...]
    watch: tuple[str, ...] = ()
    page: tuple[str, ...] | None = ()
    folders: tuple[Path, ...] = ()
    memory_mb: int = 512

    def __post_init__(self) -> None:
        for name in (self.user, self.group):
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", name):
                raise SetupError(f"{name!r} is no name of an account for a service; give another --user")
        if self.user == "root":
            raise SetupError("the service needs no rights of root; give the account that owns the station with --user")
        if self.memory_mb < 128:
            raise SetupError(f"--memory-mb {self.memory_mb} is too little; give at least 128")

    @property
    def watch_unit(self) -> str:
        return watch_unit(self.station)

    def units(self) -> dict[str, str]:
        """Return the content of each unit by its file name."""
        units = {self.watch_unit: self._watch()}
        return units if self.page is None else units | {PAGE_UNIT: self._page()}

    def _watch(self) -> str:
        return self._unit(
            f"Song, call or alarm for every detection of {self.station}",
            ["watch", self.station, *self.watch],
            # the station comes first: this one runs when processor and disk are idle
            ["Nice=10", "CPUWeight=20", "IOSchedulingClass=idle"],
        )

    def _page(self) -> str:
        return self._unit(
            "Live page of the detections",
            ["serve", *(self.page or ())],
            ["Nice=5", "CPUWeight=50", "IOSchedulingClass=best-effort", "IOSchedulingPriority=7"],
        )

    def _unit(self, description: str, arguments: Sequence[str], priority: Sequence[str]) -> str:
        folders = [f"ReadOnlyPaths=-{quoted(folder)}" for folder in self.folders]
        private = [f"InaccessiblePaths=-{quoted(self.home / name)}" for name in PRIVATE_FOLDERS]
        lines = [
            "# Written by birdnet-nl install-service, which overwrites it; put changes into a drop-in: systemctl edit",
            "[Unit]",
            f"Description={description}",
            "Documentation=man:systemd.exec(5)",
            "After=network-online.target local-fs.target time-sync.target",
            "Wants=network-online.target",
            "StartLimitIntervalSec=0",
            "",
            "[Service]",
            "Type=exec",
            f"User={self.user}",
            f"Group={self.group}",
            f"ExecStart={' '.join(argument(text) for text in (*self.program, *arguments))}",
            "Restart=on-failure",
            "SuccessExitStatus=143",  # of a program that ended in order after SIGTERM
            "RestartSec=15",
            "TimeoutStopSec=30",
            f"StateDirectory={STATE}",
            "StateDirectoryMode=0700",
            f"CacheDirectory={CACHE}",
            "CacheDirectoryMode=0700",
            f"WorkingDirectory=/var/lib/{STATE}",
            f"Environment=BIRDNET_NL_DATABASE={SERVICE_PATH}",
            f"Environment=BIRDNET_NL_CACHE=/var/cache/{CACHE}",
            "Environment=OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1",
            f"EnvironmentFile=-/{SECRETS}",
            *priority,
            f"MemoryMax={self.memory_mb}M",
            "MemorySwapMax=0",
            "TasksMax=64",
            "OOMScoreAdjust=500",
            *folders,
            *private,
            HARDENING,
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return "\n".join(lines) + "\n"


def watch_unit(station: str) -> str:
    return f"birdnet-nl-watch-{station}.service"


def argument(text: str) -> str:
    """Return an argument of `ExecStart=`, which replaces `$NAME` too."""
    return quoted(text).replace("$", "$$")


def quoted(text: str | Path) -> str:
    """Return a word of a unit: quoted where it has to be, and without the meaning of `%`."""
    text = str(text)
    if not text.isprintable():
        raise SetupError(f"{text!r} holds characters that a unit of systemd cannot; rename it")
    if re.fullmatch(r"[\w@+:,./=~$-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def secrets_template() -> str:
    """Return the first content of the file with secrets, in which every line is a comment."""
    lines = ["# Secrets of birdnet-nl, read by systemd as root; keep this file at mode 0600."]
    for name, meaning in SECRET_NAMES.items():
        lines += [f"# {meaning}", f"#{name}="]
    return "\n".join(lines) + "\n"
