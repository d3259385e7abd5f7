"""The parts of an opened project, and how they are joined.

Nothing is decided here: `Wiring.join` makes each part anew whenever a folder and its journal are opened, and the engine drives
them from then on. What is made once in a life of the engine, and outlives a restart, is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dorkyd.ahead import Paging
from dorkyd.asking import Asking
from dorkyd.batches import Batches
from dorkyd.bucket_upkeep import BucketUpkeep
from dorkyd.carrying import Carrier
from dorkyd.collecting import Collector
from dorkyd.contact import Contact, Counters
from dorkyd.core.model import Path
from dorkyd.core.settings import Mode, Project, TrashLimits
from dorkyd.deciding import Decider
from dorkyd.deletions import Deletions
from dorkyd.freezing import Freezing
from dorkyd.giving_up import GivingUp
from dorkyd.jobs import Jobs, Pool
from dorkyd.journal import Journal
from dorkyd.keyring import Keyring
from dorkyd.keys import KeyHome
from dorkyd.local_side import LocalSide
from dorkyd.merging import Merging
from dorkyd.news import News
from dorkyd.opening import Opened
from dorkyd.ports import Bucket, Clock, Folder, Push, Watcher
from dorkyd.remote_side import RemoteSide
from dorkyd.retries import Retries
from dorkyd.sealing import Sealing
from dorkyd.sessions import BegunUpload
from dorkyd.storing import Storing
from dorkyd.transfer import Transfer
from dorkyd.tripwire import Tripped
from dorkyd.upkeep import Upkeep


@dataclass(slots=True)
class Wired:
    """What there is to work with while a folder and its journal are open."""

    journal: Journal
    local: LocalSide
    contact: Contact
    batches: Batches
    freezing: Freezing
    decider: Decider
    keyring: Keyring | None
    """None: nothing can be encrypted."""
    carrier: Carrier
    merging: Merging
    transfer: Transfer
    collector: Collector
    asking: Asking
    giving_up: GivingUp
    deletions: Deletions
    retries: Retries
    jobs: Jobs
    upkeep: Upkeep
    bucket_upkeep: BucketUpkeep
    push: Push | None
    """None: the bucket's own events are not heard."""

    @property
    def remote(self) -> RemoteSide:
        """What is known of the bucket."""
        return self.contact.remote


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the parts of one project are made of: its settings, its adapters, and who works here."""

    project: Project
    folder: Folder
    open_bucket: Callable[[bool], Bucket]
    """Makes the adapter; told whether this bucket was in use before, so that a missing one is not made anew."""
    clock: Clock
    pool: Pool
    device: str
    make_watcher: Callable[[Callable[[Path, bool], bool]], Watcher | None]
    make_push: Callable[[], Push | None] = lambda: None
    """Hears of the bucket's own events; None: polls alone."""
    key_home: KeyHome | None = None
    """Where this machine's own key is. None: nothing can be encrypted."""
    pinned: Callable[[], str | None] = lambda: None
    """The fingerprint of the project's keys that the team's git repository tells."""
    random: Callable[[], float] = lambda: 0.5
    """0 to 1, for jitter."""
    author: str = ""
    """The person who works here, as they call themselves; empty: nobody said."""
    paging: Paging = Paging()  # noqa: RUF009  a value
    """How the pages of whole listings are asked for."""

    def join(
        self,
        found: Opened,
        counters: Counters,
        warnings: dict[str, tuple[str, str]],
        wake: Callable[[], None],
        remember: Callable[[BegunUpload], None],
    ) -> Wired:
        """The parts for this folder and journal. `wake`, from any thread, has a cycle begin; `remember`, on a thread of the
        pool, returns once the journal holds a client's session. Raises why the bucket cannot be opened.
        """
        project, folder, journal, clock = self.project, self.folder, found.journal, self.clock
        store = self.open_bucket(journal.get("project_id") is not None)
        bucket, keyring, sealing = store, None, None
        if self.key_home is not None:
            keyring = Keyring(store, self.key_home, clock, project.encrypt, self.pinned)
            keyring.opens(found.identity.project_id)
            bucket = sealing = Sealing(store, keyring, folder, clock, project.compress)
        remote = RemoteSide(
            News(store, self.paging),
            journal,
            clock,
            self.device,
            found.identity.replica,
            read_only=project.mode is Mode.PULL,
            journal_lost=found.warning is not None,
            trash=project.bucket_trash or TrashLimits(),
            keyring=keyring,
            author=self.author,
        )
        local = LocalSide(folder, journal, project, self.make_watcher)
        jobs = Jobs(self.pool, wake)
        transfer = Transfer(bucket, folder, clock, self.device, sealing, jobs.takes)
        merging = Merging(journal, folder, project, clock)
        carrier = Carrier(journal, local, remote, transfer, clock, self.device, merging)
        retries = Retries(journal)
        stages = project.mode not in {Mode.PUSH, Mode.BUCKET}
        storing = Storing(bucket, folder, transfer, self.device, stages=stages, remember=remember)
        batches = Batches(journal, clock)
        freezing = Freezing(journal, clock, batches)
        remote.store_told = batches.store_told
        carrier.batch_of = freezing.batch_of
        asking = Asking(journal, remote, storing, folder, clock, self.device, batches, freezing, jobs)
        tripped = Tripped(journal, folder, project)
        return Wired(
            journal=journal,
            local=local,
            contact=Contact(
                project, bucket, remote, journal, clock, self.random, counters, folder.now_ns, warnings=warnings
            ),
            batches=batches,
            freezing=freezing,
            decider=Decider(
                journal, local, project, self.device, batches, tripped, keyring, told_modes=remote.told_modes
            ),
            keyring=keyring,
            carrier=carrier,
            merging=merging,
            transfer=transfer,
            collector=Collector(journal, carrier, remote, retries, asking, clock),
            asking=asking,
            giving_up=GivingUp(journal, transfer, warnings),
            deletions=Deletions(journal, project),
            retries=retries,
            jobs=jobs,
            upkeep=Upkeep(journal, folder, local, project, clock, self.device, transfer.blinded, jobs.takes),
            bucket_upkeep=BucketUpkeep(project, bucket, remote.news, journal, clock, self.random),
            push=self.make_push(),
        )
