"""`keygen`, `trust`, `verify`, `restore`; and `--key`, `--recipient` of every `protect`."""

from __future__ import annotations

import argparse
import getpass
import json
from pathlib import Path

from ..engine.certificate.keys import PrivateKey, PublicKey
from ..engine.certificate.schema import LONGEST_NAME
from ..engine.certificate.verify import Trust, Verdict
from ..engine.errors import UsageError
from ..files import formats
from ..files.certificates import PASSPHRASE, Sealer, restore_file, verify_file, verify_folder
from ..files.keys import TrustList, find_public_key, load_key, save_key
from . import passphrases
from .output import say
from .parsers import Parsers


def add(commands: Parsers) -> None:
    _add_keygen(commands)
    _add_trust(commands)
    _add_verify(commands)
    _add_restore(commands)


def add_certificate_options(parser: argparse.ArgumentParser) -> None:
    """For `protect`: who signs, and who may restore besides."""
    parser.add_argument(
        "--key",
        type=Path,
        metavar="KEY",
        help="key file of keygen: sign a certificate for each image, allow to restore",
    )
    parser.add_argument(
        "--recipient",
        action="append",
        default=[],
        metavar="PUBLICKEY",
        help=f"who may restore besides: a public key, its file, or the word {PASSPHRASE}; may be repeated",
    )
    passphrases.add_option(parser, "of the key its first line, of the recipient its second")


def sealer_of(options: argparse.Namespace) -> Sealer | None:
    """What `--key` and `--recipient` say; unlocks the key."""
    if options.key is None:
        if options.recipient:
            raise UsageError("--recipient needs --key: somebody must sign the certificate; make a key with keygen")
        return None
    issuer = passphrases.unlock(load_key(options.key), options.passphrase_file)
    recipients = tuple(_recipient(word, options.passphrase_file) for word in dict.fromkeys(options.recipient))
    return Sealer(issuer, recipients)


def _recipient(word: str, file: Path | None) -> PublicKey | str:
    if word == PASSPHRASE:
        return passphrases.new_passphrase("Passphrase to restore with", file, line=1)
    return find_public_key(word)[0]


def _add_keygen(commands: Parsers) -> None:
    parser = commands.add_parser("keygen", help="make a key to sign certificates and to restore with")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the two files of the key")
    parser.add_argument("--name", help="stands in every certificate (default: your login name)")
    passphrases.add_option(parser)
    parser.add_argument(
        "--no-passphrase", action="store_true", help="leave the key unprotected: who reads its file can sign"
    )
    parser.set_defaults(command=keygen)


def keygen(options: argparse.Namespace) -> int:
    if options.no_passphrase and options.passphrase_file:
        raise UsageError("--no-passphrase and --passphrase-file exclude each other; leave one out")
    name = options.name or getpass.getuser()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"--name: give one line of up to {LONGEST_NAME} characters")
    word = ""
    if not options.no_passphrase:
        word = passphrases.new_passphrase("Passphrase for the new key", options.passphrase_file)
    key = PrivateKey.fresh(name)
    private, public = save_key(options.out, key, word)
    say(f"Keep {private} and a copy of it: without it nothing can be restored.")
    say(f"Hand out {public}: {key.public.text}")
    say(f"Fingerprint, to be compared by another way: {key.public.fingerprint}")
    return 0


def _add_trust(commands: Parsers) -> None:
    actions = commands.add_parser("trust", help="pin the keys of issuers you know").add_subparsers(
        required=True, metavar="ACTION"
    )
    for name, command, text in (
        ("add", trust_add, "trust certificates of this key, once you have compared its fingerprint"),
        ("revoke", trust_revoke, "never trust this key again"),
    ):
        parser = actions.add_parser(name, help=text)
        parser.add_argument("key", metavar="PUBLICKEY", help="the key (mul-ed25519:...), or the file that holds it")
        parser.add_argument("--name", help="whose key it is (default: as the file says)")
        parser.set_defaults(command=command)
    actions.add_parser("list", help="the pinned keys").set_defaults(command=trust_list)


def trust_add(options: argparse.Namespace) -> int:
    return _pin(options, Trust.TRUSTED)


def trust_revoke(options: argparse.Namespace) -> int:
    return _pin(options, Trust.REVOKED)


def _pin(options: argparse.Namespace, trust: Trust) -> int:
    key, name = find_public_key(options.key)
    TrustList().pin(key, options.name or name, trust)
    say(f"{trust.value}: {options.name or name or key.key_id}, fingerprint {key.fingerprint}")
    return 0


def trust_list(options: argparse.Namespace) -> int:
    for issuer in TrustList().issuers():
        say(f"{issuer.trust.value:9}{issuer.since}  {issuer.key.fingerprint}  {issuer.name}")
    return 0


def _add_verify(commands: Parsers) -> None:
    parser = commands.add_parser(
        "verify",
        help="is an image as its issuer signed it?",
        description="Exit code 0: trusted, unchanged. 3: unchanged, but the issuer is unknown. 1: changed, another "
        "image or a lossy copy, or a bad certificate. Of a folder: the worst.",
    )
    parser.add_argument("path", type=Path, metavar="FILE|DIR", help="image file, DICOM series, or folder of a release")
    parser.add_argument(
        "--certificate", type=Path, metavar="C", help="certificate of FILE (default: <stem>.mulcert.json beside it)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each image")
    parser.set_defaults(command=verify)


def verify(options: argparse.Namespace) -> int:
    trusted = TrustList().of
    if options.path.is_dir() and not formats.is_series_folder(options.path):
        if options.certificate is not None:
            raise UsageError("--certificate goes with a single image; of a folder each image has its own beside it")
        found = verify_folder(options.path, trusted)
    else:
        found = [(options.path, verify_file(options.path, trusted, options.certificate))]
    for path, verdict in found:
        say(_as_json(path, verdict) if options.json else f"{path}: {verdict.label}: {verdict.sentence}")
    if len(found) > 1 and not options.json:
        labels = [verdict.label for _, verdict in found]
        say("; ".join(f"{labels.count(label)} {label}" for label in dict.fromkeys(labels)))
    return max((verdict.exit_code for _, verdict in found), key=(0, 3, 1).index)


def _as_json(path: Path, verdict: Verdict) -> str:
    return json.dumps(
        {
            "file": str(path),
            "verdict": verdict.label,
            "exit_code": verdict.exit_code,
            "slices": verdict.slices,
            "message": verdict.sentence,
        }
    )


def _add_restore(commands: Parsers) -> None:
    parser = commands.add_parser("restore", help="the exact original of a protected image, for its key holder")
    parser.add_argument("file", type=Path, metavar="FILE", help="protected image file or DICOM series")
    parser.add_argument("--key", type=Path, metavar="KEY", help="key file (default: ask for the passphrase to restore)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="new file, in the format of FILE")
    parser.add_argument(
        "--certificate", type=Path, metavar="C", help="certificate of FILE (default: <stem>.mulcert.json beside it)"
    )
    passphrases.add_option(parser)
    parser.set_defaults(command=restore)


def restore(options: argparse.Namespace) -> int:
    opener: PrivateKey | str
    if options.key is None:
        opener = passphrases.passphrase("Passphrase to restore with", options.passphrase_file)
    else:
        opener = passphrases.unlock(load_key(options.key), options.passphrase_file)
    restored = restore_file(options.file, options.out, opener, TrustList().of, options.certificate)
    say(f"{options.out}: the original, bit for bit ({restored.array.dtype.name})")
    return 0
