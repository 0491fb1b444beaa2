"""Names of keys, flags and variables that hold secrets.

>>> [name for name in ("HF_TOKEN", "pad_token", "apiKey", "author") if strength(name)]
['HF_TOKEN', 'apiKey']

Machine learning has its own keys and tokens, and they are most of those in a record:
the lists below tell both apart by the words around them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

TEXT = 1
"""Text under the name is secret; a number is not: `token: 5` is a position."""
ALWAYS = 2
"""Numbers are secret as well."""


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z\xdf-\xff]+|[A-Z]+|[0-9]+")
_PASSWORDS = re.compile(
    r"passw(?:or)?d|passphrase|passcode|passwort|kennwort|contrase[nñ]a|senha"
    r"|pwd$|secret(?!ar)"
)
_WORDS = _listed(
    """
    authorization connectionstring connstr cookie cookies cred creds credential
    credentials dsn htpasswd netrc pgpass
    """
)
# These tell it only at the end: `basic_auth`, but not `auth_mode`.
_LAST_WORDS = _listed("auth bearer jwt otp passkey sas totp")
_OF_KEYS = _listed(
    """
    access account admin aes anthropic api app application auth azure client cohere
    comet consumer decrypt decryption deploy encrypt encryption gemini gpg groq hf hmac
    host huggingface jwt kaggle langchain langsmith license master mistral neptune
    openai pgp pinecone private replicate rsa sas secret security sendgrid server
    service session shared signing ssh storage stripe subscription tavily tls together
    twilio wandb webhook
    """
)
_OF_PASSES = _listed(
    """
    admin amqp auth db database email ftp git http imap ldap login mail mongo mongodb my
    mysql pg postgres proxy rabbitmq redis root sftp smtp ssh svn user
    """
)
# Words before `token` that speak of text, not of access.
_OF_TEXT = _listed(
    """
    add added assistant audio begin beginning blank bod boi bom bos bot boundary by cls
    class cost de decoder delimiter dist dummy each else empty end endoftext eod eoi eom
    eos eot extra fim first forced frame image input insert int label lang language last
    latent loss mask masked max middle min multi n new newline next no num number of
    output pad padding patch per placeholder pool pooling pre prefix previous prompt
    query register repeat sep separator single soft sos space special start stop sub
    suffix system target task text think time to top un unk unknown video vision visual
    word
    """
)
_OF_ACCESS = _listed(
    """
    access api auth bearer csrf deploy github gitlab hf huggingface identity oauth
    personal pypi refresh sas security session slack wandb
    """
)
_ABOUT = _listed(
    """
    age checking class column count dir directory enabled endpoint env expires expiry
    field file filename format ids index indices length lifetime location max
    method min name names num path policy prompt provider regex required rotation scope
    size source ttl type url uri var variable
    """
)
"""Last words that make a name one of something about a secret."""


def words(name: str) -> list[str]:
    """Return the words of a name in lower case, without a number at its end.

    >>> words("dbAPIKey_2")
    ['db', 'api', 'key']
    """
    found = [word.lower() for word in _WORD.findall(name)]
    while len(found) > 1 and found[-1].isdigit():
        found.pop()
    return found


@lru_cache(maxsize=10_000)
def strength(name: str) -> int:
    """Return what is secret under a name: nothing (0), `TEXT`, or `ALWAYS`.

    Words may be joined in any usual way: `api_key`, `api-key`, `apiKey`, `api.key`.
    """
    parts = words(name)
    if not parts or parts[-1] in _ABOUT:
        return 0
    if any(map(_PASSWORDS.search, parts)) or any(map(_is_password, pairwise(parts))):
        return ALWAYS
    told = (
        not _WORDS.isdisjoint(parts)
        or any(map(_is_key, pairwise(parts)))
        or _is_access(parts[-1], parts[-2] if len(parts) > 1 else "")
    )
    return TEXT if told else 0


def _is_password(pair: tuple[str, str]) -> bool:
    first, second = pair
    return first == "pass" and second in ("code", "phrase", "word")


def _is_key(pair: tuple[str, str]) -> bool:
    first, second = pair
    if second == "string":
        return first in ("connection", "conn")
    return second in ("key", "keys") and first in _OF_KEYS


def _is_access(last: str, before: str) -> bool:
    """Tell whether the last word, with the one before it, is that of a secret."""
    if last == "tokens":
        return before in _OF_ACCESS
    if last.endswith("token"):
        return (last.removesuffix("token") or before) not in _OF_TEXT
    if last.endswith(("key", "keys")):
        return last.removesuffix("s").removesuffix("key") in _OF_KEYS
    return last in _LAST_WORDS or (
        last in ("pass", "pw") and (not before or before in _OF_PASSES)
    )
