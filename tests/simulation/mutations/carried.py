"""Faults in what is carried out: intents and records, transfers, what comes out of a swap, what a start settles."""

from __future__ import annotations

from tests.simulation.mutations.mutant import Mutant

MUTANTS = (
    Mutant(
        "intent-not-journalled",
        "carrying",
        "        self.journal.ledger.intend(self._intents)\n",
        "",
        "a write is sent without an intent in the journal",
        "rule 1: intents before effects",
        test="tests/scenarios/test_g_crashes.py::test_g03_edited_again_between_the_kill_and_the_restart",
    ),
    Mutant(
        "base-before-the-effect",
        "carrying",
        "        self._intents.append(intent)\n        return op\n",
        "        self._intents.append(intent)\n"
        "        self.journal.set_base(path, Base(local.digest, local.size, None, local.mode))\n        return op\n",
        "base says what an upload will make, before it is sent",
        "rule 1: recording the outcome, not the intention",
        first=4,
    ),
    Mutant(
        "ancestry-not-read",
        "recovery",
        "            if intent.op in looked.ancestry:",
        "            if looked.op is None:",
        "our write is not recognised once a teammate wrote over it",
        "rule 1: found in its op or ancestry",
        test="tests/scenarios/test_g_crashes.py::test_a_lost_reply_replaced_by_the_other_device_before_the_restart",
    ),
    Mutant(
        "delete-intent-not-recognised",
        "recovery",
        '        if looked is None and intent.verb == "delete":',
        '        if looked is None and intent.verb == "delete" and intent.digest is not None:',
        "a deletion whose reply was lost did not happen",
        "rule 1: a delete intent and the object absent, base is none",
        test="tests/test_recovery.py::test_a_delete_and_no_object",
    ),
    Mutant(
        "late-write-not-recognised",
        "collecting",
        "            late = ledger.late_intent(looked.op) if looked.op is not None else None\n",
        "            late = None\n",
        "a request that lands after it was looked for is somebody else's write",
        "rule 1: base is what that op wrote",
        test="tests/scenarios/test_h_races.py::test_a_put_that_lands_after_it_was_looked_for_is_known_again",
    ),
    Mutant(
        "install-not-journalled",
        "carrying",
        "        self.journal.ledger.installing([install])\n        mode, mtime_ns",
        "        mode, mtime_ns",
        "a file is swapped in without an install in the journal",
        "rule 2: installs are journalled before the swap",
        test="tests/scenarios/test_g_crashes.py::test_g12_killed_around_the_swap",
    ),
    Mutant(
        "open-install-counts-as-done",
        "recovery",
        "    elif ours_staged:\n        return Landed(False, Placed(), True)",
        "    elif ours_staged:\n        return Landed(True, Placed(), True)",
        "after a kill before the swap, base is what was not installed",
        "rule 2: only if the target holds the staged digest",
        first=4,
    ),
    Mutant(
        "open-discard-counts-as-done",
        "recovery",
        "        if staged is None:\n            return Landed(False, Placed(), False)",
        "        if staged is None:\n            return Landed(True, Placed(), False)",
        "after a kill before a file was taken out, base is none",
        "rule 2: base unchanged, look again",
        test="tests/test_recovery.py::test_killed_before_a_discard",
    ),
    Mutant(
        "swap-not-compared",
        "transfer",
        "        if digest == install.staged_digest or (digest == install.expected and not install.keep_both):",
        "        if digest == install.staged_digest or not install.keep_both:",
        "what came out of a swap goes to the trash, whatever it is",
        "what came out is compared with what was expected",
        test="tests/scenarios/test_r_windows.py::test_r01_a_save_in_the_window_of_a_download",
    ),
    Mutant(
        "discard-not-compared",
        "transfer",
        "        if digest == install.expected:\n            trashed = self._folder.to_trash",
        "        if digest:\n            trashed = self._folder.to_trash",
        "a file that was edited just before it is deleted goes to the trash",
        "newer bytes than expected go back",
        test="tests/scenarios/test_r_windows.py::test_r03_a_save_in_the_window_of_a_deletion",
    ),
    Mutant(
        "loser-goes-to-the-trash",
        "transfer",
        "        if digest == install.staged_digest or (digest == install.expected and not install.keep_both):",
        "        if digest == install.expected or install.keep_both:",
        "the loser of a conflict is not kept beside it",
        "the loser's bytes become one copy",
        first=10,
    ),
    Mutant(
        "displaced-bytes-unlinked",
        "transfer",
        "            return Placed(trashed=self._folder.to_trash(install.staged, install.path), trashed_digest=digest)",
        "            self._folder.unstage(install.staged)\n            return Placed()",
        "a file that a download replaces is unlinked",
        "displaced files go to the trash",
        test="tests/scenarios/test_a_basics.py::test_a02_an_edit_replaces_exactly_the_version_it_was_made_from",
    ),
    Mutant(
        "copy-with-a-random-name",
        "transfer",
        "            name = conflict_name(beside, device=device, mtime_ns=mtime_ns, digest=shown or digest, digits=digits)",
        '            name = conflict_name(beside, device=device + __import__("os").urandom(3).hex(), mtime_ns=mtime_ns, digest=shown or digest, digits=digits)',
        "a conflict copy's name differs at each try",
        "one copy: a retry makes the same name",
        test="tests/test_recovery.py::test_a_copy_made_before_the_kill_is_used_again",
    ),
    Mutant(
        "upload-replaces-whatever-is-there",
        "transfer",
        "        meta = self._meta_of(action, op, secret=secret, batch=batch)\n"
        "        replaces = action.replaces.version if action.replaces is not None else None\n        if begun is None:",
        "        now = self._bucket.head(action.path)\n"
        "        action = Upload(action.path, action.local, None if now is None else _remote(now), action.mode)\n"
        "        meta = self._meta_of(action, op, secret=secret, batch=batch)\n"
        "        replaces = action.replaces.version if action.replaces is not None else None\n        if begun is None:",
        "an upload's precondition is what stands there when it is sent",
        "writes say what they replace",
        first=33,
    ),
    Mutant(
        "delete-removes-whatever-is-there",
        "transfer",
        "        kept = self.keep_old(action.path, action.replaces)\n"
        "        self._bucket.delete(action.path, replaces=action.replaces)",
        "        now = self._bucket.head(action.path)\n"
        "        version = action.replaces if now is None else now.version\n"
        "        kept = self.keep_old(action.path, version)\n"
        "        self._bucket.delete(action.path, replaces=version)",
        "a deletion's precondition is what stands there when it is sent",
        "writes say what they replace",
        test="tests/scenarios/test_h_races.py::test_h03_a_planned_delete_that_comes_second_is_refused",
    ),
    Mutant(
        "move-deletes-whatever-is-there",
        "transfer",
        "            self._bucket.delete(delete.path, replaces=delete.replaces)\n        except (Stale, Transient):",
        "            now = self._bucket.head(delete.path)\n"
        "            if now is not None:\n                self._bucket.delete(delete.path, replaces=now.version)\n"
        "        except (Stale, Transient):",
        "the second half of a move deletes what somebody wrote meanwhile",
        "a move is a copy and a conditional delete",
        test="tests/scenarios/test_absence.py::test_an_edit_between_the_two_halves_of_a_move",
    ),
    Mutant(
        "fetched-bytes-not-verified",
        "transfer",
        "            if claimed is None or digest == claimed:\n"
        "                return Fetched(_with_digest(_remote(info), digest))",
        "            if claimed is None or digest:\n"
        "                return Fetched(_with_digest(_remote(info), claimed or digest))",
        "bytes damaged on their way are installed",
        "fetched bytes are verified",
        test="tests/scenarios/test_l_outages.py::test_l06_bytes_damaged_on_the_way_are_never_installed",
    ),
    Mutant(
        "replaced-object-not-kept",
        "transfer",
        "        return self.keep_old(action.path, action.replaces.version)",
        "        return bool(action.replaces.version)",
        "an upload leaves no copy of what it replaces",
        "replace and delete first copy the old object to the trash",
        test="tests/scenarios/test_a_basics.py::test_a02_an_edit_replaces_exactly_the_version_it_was_made_from",
    ),
    Mutant(
        "deleted-object-not-kept",
        "transfer",
        "        kept = self.keep_old(action.path, action.replaces)\n",
        "        kept = True\n",
        "a deletion leaves no copy of what it deletes",
        "replace and delete first copy the old object to the trash",
        test="tests/scenarios/test_a_basics.py::test_a03_a_deletion_reaches_the_other_device_and_both_keep_the_bytes",
    ),
    Mutant(
        "moved-onto-a-newer-file",
        "folder",
        '                clear(free)\n                self._between("looked")\n                way',
        '                clear(free)\n                self._between("looked")\n'
        "                with suppress(FileNotFoundError):\n                    os.unlink(free.name, dir_fd=free.fd)\n"
        "                way",
        "a local move overwrites what was just written under the new name",
        "the filesystem refuses what is no longer true",
        also=(
            (
                "from contextlib import AbstractContextManager, contextmanager\n",
                "from contextlib import AbstractContextManager, contextmanager, suppress\n",
            ),
        ),
        test="tests/scenarios/test_r_windows.py::test_a_file_created_in_the_window_of_a_local_move",
    ),
    Mutant(
        "arrival-overwrites",
        "renames",
        "        if not _call(staged, to, exchange=False):\n            self._stepwise.place(staged, to)",
        "        os.replace(staged.name, to.name, src_dir_fd=staged.fd, dst_dir_fd=to.fd)",
        "a new file is put in place by a rename that overwrites",
        "swapped in atomically, NOREPLACE",
        test="tests/scenarios/test_r_windows.py::test_r01_a_file_created_in_the_window",
    ),
    Mutant(
        "deletion-not-counted",
        "carrying",
        '        if counted:\n            self.journal.ledger.count_deletion(self.clock.time_ns(), "remote", action.path)\n',
        "",
        "a deletion that was carried out leaves the guard's window empty",
        "rule 7: its window survives restarts",
        test="tests/scenarios/test_halts.py::test_the_window_survives_restarts",
    ),
)
