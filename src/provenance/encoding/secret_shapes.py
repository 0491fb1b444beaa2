"""Shapes of secrets: the tokens of well-known services, keys, URLs with a password.

>>> list(spans("export TOKEN=hf_" + 34 * "x"))
[('huggingface-token', 13, 50)]

Entropy is no sign of a secret here: a record is full of digests. Each pattern takes
time in proportion to the text: it begins at a literal or where a word does, what it
repeats is bounded or has nothing behind it that could make it give back.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SHORTEST = 8
"""No shape is shorter; most texts of a record are."""

# Not in the middle of a word; but %20 and \n before it are the end of one.
_START = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"


@frozen
class _Shape:
    """What a kind of secret looks like.

    Attributes:
        name: what the kind is called.
        literals: the texts of which one must occur; lower-case if case is ignored.
        pattern: matches it, or has a group `s` that does.
        anchored: a match begins with a literal, so it need not be looked for.
        check: says whether a match really is one.
    """

    name: str
    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    anchored: bool = field(kw_only=True)
    check: Callable[[str], bool] = field(kw_only=True, default=bool)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where it stands in a text that holds one of the literals."""
        for match in self._matches(text):
            start, end = match.span("s" if self.pattern.groups else 0)
            if self.check(text[start:end]):
                yield start, end

    def _matches(self, text: str) -> Iterator[re.Match[str]]:
        if not self.anchored:
            yield from self.pattern.finditer(text)
            return
        for literal in self.literals:
            at = text.find(literal)
            while at >= 0:
                match = self.pattern.match(text, at)
                if match:
                    yield match
                at = text.find(literal, match.end() if match else at + 1)


def _begins(name: str, literals: str, rest: str) -> _Shape:
    """Return a shape that begins with one of these words, and goes on like this."""
    words = tuple(literals.split())
    either = "|".join(map(re.escape, words))
    pattern = re.compile(f"{_START}(?:{either}){rest}")
    return _Shape(name, words, pattern, anchored=True)


def _holds(
    name: str, literals: str, pattern: str, check: Callable[[str], bool] = bool
) -> _Shape:
    """Return a shape that is looked for where one of these words occurs."""
    words = tuple(literals.split())
    compiled = re.compile(pattern, re.IGNORECASE)
    return _Shape(name, words, compiled, anchored=False, check=check)


def _is_user_and_password(text: str) -> bool:
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:  # also a letter that is ASCII only when case is ignored
        return False
    return b":" in decoded and decoded.isascii() and decoded.decode().isprintable()


_KEY_BODY = r"(?:\s|\\[nrt]|[-+\"',>|]){0,40}(?:[A-Za-z0-9+/=]{16}|[A-Za-z-]{4,20}: )"
_ANY = r"[\w-]"
_ALNUM = "[A-Za-z0-9]"
_HEX = "[0-9a-f]"
_BASE64 = "[A-Za-z0-9+/=]"
_NO_MORE = "(?![A-Za-z0-9])"

_SHAPES = (
    # Keys.
    _holds(
        "private-key",
        "private",
        r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        f"{_KEY_BODY}"
        rf"|---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----{_KEY_BODY}",
    ),
    _begins("openssh-key", "b3BlbnNzaC1rZXktdjE", f"{_BASE64}*"),
    _begins("putty-key", "PuTTY-User-Key-File-", "[0-9]"),
    _holds("age-key", "age-secret-key-", r"AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50,}"),
    _holds(
        "jwk", '"kty"', r'"(?:d|k)"[ \t]{0,4}:[ \t]{0,4}"(?P<s>[A-Za-z0-9_-]{32,})"'
    ),
    # Clouds.
    _begins(
        "aws-key-id",
        "AKIA ASIA ABIA ACCA AROA AIDA AGPA ANPA AIPA ANVA",
        rf"[A-Z0-9]{{16}}{_NO_MORE}",
    ),
    _holds(
        "aws-secret-key",
        "secret",
        r"secret_?(?:access)?_?key[^A-Za-z0-9/+\n]{1,10}"
        r"(?P<s>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
    ),
    _begins("aws-session-token", "IQoJ FwoGZXIvYXdz FQoGZXIvYXdz", f"{_BASE64}{{60,}}"),
    _begins("aws-bedrock-key", "ABSK bedrock-api-key-", f"{_BASE64}{{40,}}"),
    _begins("aws-mws-token", "amzn.mws.", "[0-9a-f-]{36}"),
    _holds(
        "aws-signed-url",
        "x-amz-signature= x-amz-security-token=",
        r"X-Amz-(?:Signature|Security-Token)=(?P<s>[\w%+/=.~-]{20,})",
    ),
    _holds("gcs-signed-url", "x-goog-signature=", r"X-Goog-Signature=(?P<s>\w{32,})"),
    _holds(
        "signed-url",
        "signature=",
        r"[?&;](?:amp;)?Signature=(?P<s>[\w%+/=.~-]{20,})",
    ),
    _begins("google-api-key", "AIza", rf"{_ANY}{{35}}"),
    _begins("google-token", "ya29. 1//0", rf"{_ANY}{{20,}}"),
    _begins("google-client-secret", "GOCSPX-", rf"{_ANY}{{24,}}"),
    _holds("azure-sas", "sig=", r"(?<![A-Za-z])sig=(?P<s>[\w%+/=.~-]{20,})"),
    _holds(
        "azure-account-key",
        "accountkey= sharedaccesskey= sharedaccesssignature=",
        r"(?:Account|SharedAccess)(?:Key|Signature)=(?P<s>[^\s;\"']{16,})",
    ),
    _holds(
        "azure-client-secret",
        "q~",
        r"(?<![\w.~-])[\w.~-]{3}[0-9](?-i:Q)~[\w.~-]{31,34}(?![\w.~-])",
    ),
    _holds(
        "azure-devops-token", "azdo", rf"(?<!\w){_ALNUM}{{76}}(?-i:AZDO){_ALNUM}{{4}}"
    ),
    _begins("alibaba-key-id", "LTAI", rf"{_ALNUM}{{12,20}}{_NO_MORE}"),
    _begins("tencent-key-id", "AKID", rf"{_ALNUM}{{32}}{_NO_MORE}"),
    _begins("yandex-key", "AQVN YCAJE YCM", rf"{_ANY}{{30,}}"),
    _begins("digitalocean-token", "dop_v1_ doo_v1_ dor_v1_", f"{_HEX}{{64}}"),
    _begins("heroku-key", "HRKU-", rf"{_ANY}{{30,}}"),
    _begins("fly-token", "fo1_ FlyV1", rf"[ ]?{_ANY}{{40,}}"),
    # Models and data.
    _begins("huggingface-token", "hf_ api_org_", f"{_ALNUM}{{30,}}"),
    _begins("anthropic-key", "sk-ant-", rf"{_ANY}{{20,}}"),
    _begins(
        "openai-key",
        "sk-",
        rf"(?:(?:proj|svcacct|admin|None|or-v1|lf)-{_ANY}{{20,}}|{_ALNUM}{{32,}})",
    ),
    _begins("groq-key", "gsk_", f"{_ALNUM}{{40,}}"),
    _begins("replicate-token", "r8_", f"{_ALNUM}{{30,}}"),
    _begins("perplexity-key", "pplx-", f"{_ALNUM}{{40,}}"),
    _begins("xai-key", "xai-", f"{_ALNUM}{{60,}}"),
    _begins("cerebras-key", "csk-", f"{_ALNUM}{{40,}}"),
    _begins("fireworks-key", "fw_", rf"{_ALNUM}{{22,24}}{_NO_MORE}"),
    _begins("nvidia-key", "nvapi-", rf"{_ANY}{{40,}}"),
    _begins("langsmith-key", "lsv2_pt_ lsv2_sk_", rf"{_HEX}{{32}}_\w*"),
    _begins("pinecone-key", "pcsk_", r"\w{40,}"),
    _begins("tavily-key", "tvly-", rf"{_ANY}{{30,}}"),
    _begins("e2b-key", "e2b_", f"{_HEX}{{40}}"),
    _begins("neptune-token", "eyJhcGlfYWRkcmVzcyI6", f"{_BASE64}{{20,}}"),
    _begins("wandb-key", "wandb_v1_", r"\w{40,}"),
    _holds(
        "wandb-key",
        "wandb",
        r"wandb[^\n]{0,20}?(?:key|login|token)[^\n]{0,12}?(?<![0-9a-f])"
        r"(?P<s>[0-9a-f]{40})(?![0-9a-f])",
    ),
    _begins("kaggle-token", "KGAT_", f"{_HEX}{{32}}"),
    _holds(
        "kaggle-key",
        '"username"',
        r'"key"[ \t]{0,4}:[ \t]{0,4}"(?P<s>[0-9a-f]{32})"',
    ),
    _begins("databricks-token", "dapi dose dkea", rf"{_HEX}{{32}}{_NO_MORE}"),
    # Code and packages.
    _begins("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", f"{_ALNUM}{{36,}}"),
    _begins("github-token", "github_pat_", r"\w{22,}"),
    _begins(
        "gitlab-token",
        "glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct-",
        rf"{_ANY}{{20,}}",
    ),
    _begins("gitlab-token", "GR1348941", rf"{_ANY}{{20,}}"),
    _begins("bitbucket-token", "ATBB ATCTT3", r"[\w=-]{24,}"),
    _begins("atlassian-token", "ATATT3", r"[\w=-]{60,}"),
    _begins("npm-token", "npm_", rf"{_ALNUM}{{36}}{_NO_MORE}"),
    _begins("pypi-token", "pypi-Ag", rf"{_ANY}{{40,}}"),
    _begins("rubygems-key", "rubygems_", f"{_HEX}{{48}}"),
    _begins("crates-token", "cio", rf"{_ALNUM}{{32}}{_NO_MORE}"),
    _begins("docker-token", "dckr_pat_ dckr_oat_", rf"{_ANY}{{27,}}"),
    _begins("artifactory-key", "AKCp cmVmdGtuO", rf"{_ALNUM}{{50,}}"),
    _begins("postman-key", "PMAK-", f"{_HEX}{{24}}-{_HEX}*"),
    _holds("terraform-token", ".atlasv1.", r"(?<!\w)\w{14}\.atlasv1\.[\w=-]{50,}"),
    _begins("pulumi-token", "pul-", f"{_HEX}{{40}}"),
    _begins("vault-token", "hvs. hvb. hvr.", rf"{_ANY}{{24,}}"),
    _begins("doppler-token", "dp.pt. dp.st. dp.ct. dp.sa. dp.scim.", r"[\w.]{40,}"),
    _begins("supabase-key", "sbp_ sb_secret_", rf"{_ANY}{{30,}}"),
    _begins(
        "planetscale-token", "pscale_tkn_ pscale_pw_ pscale_oauth_", r"[\w.=-]{32,}"
    ),
    # Messages, money, watching.
    _begins("slack-token", "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs-", r"[\w-]{10,}"),
    _begins("slack-token", "xoxe.xoxb- xoxe.xoxp- xapp-", r"[\w-]{20,}"),
    _begins(
        "slack-webhook",
        "hooks.slack.com/services/ hooks.slack.com/workflows/",
        r"[\w/+-]{20,}",
    ),
    _holds(
        "discord-webhook",
        "/api/webhooks/",
        r"discord(?:app)?\.com/api/webhooks/[0-9]{5,25}/[\w-]{30,}",
    ),
    _holds(
        "discord-token",
        ".",
        r"(?<![\w.-])(?-i:[MNO])[\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w.-])",
    ),
    _holds("telegram-token", ":a", r"(?<=[0-9]{8}):(?-i:A)[\w-]{34}(?![\w-])"),
    _begins("twilio-key", "SK", rf"{_HEX}{{32}}{_NO_MORE}"),
    _begins("sendgrid-key", "SG.", rf"{_ANY}{{16,32}}\.{_ANY}{{16,64}}"),
    _begins("mailgun-key", "key-", rf"{_HEX}{{32}}{_NO_MORE}"),
    _holds("mailchimp-key", "-us", rf"(?<!\w)(?-i:{_HEX}{{32}})-us[0-9]{{1,2}}(?!\w)"),
    _begins(
        "stripe-key",
        "sk_live_ sk_test_ rk_live_ rk_test_ sk_prod_ rk_prod_",
        f"{_ALNUM}{{10,}}",
    ),
    _begins("stripe-webhook", "whsec_", f"{_BASE64}{{24,}}"),
    _begins("shopify-token", "shpat_ shpca_ shppa_ shpss_", f"{_HEX}{{32}}"),
    _begins("square-token", "sq0atp- sq0csp-", rf"{_ANY}{{22,}}"),
    _begins("facebook-token", "EAACEdEose0cBA", f"{_ALNUM}{{10,}}"),
    _begins("new-relic-key", "NRAK-", r"[A-Z0-9]{27}"),
    _begins("grafana-token", "glsa_ glc_", r"[\w+/=]{32,}"),
    _begins("sentry-token", "sntrys_ sntryu_", r"[\w+/=-]{40,}"),
    _begins("linear-key", "lin_api_", f"{_ALNUM}{{32,}}"),
    _begins("notion-token", "ntn_ secret_", rf"{_ALNUM}{{40,}}"),
    _begins("figma-token", "figd_", rf"{_ANY}{{40}}"),
    _begins("airtable-token", "pat", rf"{_ALNUM}{{14}}\.{_HEX}{{64}}"),
    _begins("dropbox-token", "sl.", rf"(?:u\.)?{_ANY}{{100,}}"),
    # Whatever service it is.
    _holds(
        "jwt",
        "eyj",
        r"(?<![\w-])(?-i:eyJ)[\w-]{8,}\.(?-i:ey)[\w-]{8,}\.[\w-]*",
    ),
    _holds(
        "database-url",
        "://",
        r"(?:postgres|postgresql|mysql|mariadb|mongodb|mongodb\+srv|redis|rediss|amqp"
        r"|amqps|mssql|oracle|clickhouse|snowflake)(?:\+\w{1,20})?://"
        r"(?P<s>[^\s/:@\"'<>]{0,60}:(?![0-9]{1,5}/)[^\s\"'<>]{1,100})@",
    ),
    _holds(
        "url-password",
        "://",
        r"://(?P<s>[^\s/?#:@\"'<>]{0,256}:[^\s/?#\"'<>]{1,512})@",
    ),
    # A password as nobody should write it into a URL: with what ends its first part.
    # What begins as a port does is none, and neither is what stands for a value.
    _holds(
        "odd-url-password",
        "://",
        r"://(?P<s>[^\s/?#:@\"'<>]{0,100}:(?![0-9]{1,5}(?:[/?#\s]|\Z)|[{\[]|\$[{(A-Z])"
        r"(?=[^@/?# ]{0,100}[/?# ])[^\s@\"'<>]{1,100}"
        r"(?:(?<![,;.:)])[ ][^\s@\"'<>]{1,60}){0,3})@(?=\[?[A-Za-z0-9])",
    ),
    _holds("url-token", "://", r"https?://(?P<s>[^\s/?#:@\"'<>]{16,512})@"),
    _holds(
        "authorization",
        "authorization",
        r"authorization[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?"
        r"(?:(?:aws4-hmac-sha256|apikey|basic|bearer|digest|key|negotiate|token)"
        r"[ \t]{1,3})?+(?P<s>(?![${<%\[])[^\s\"']{6,})",
    ),
    _holds(
        "bearer",
        "bearer",
        r"(?<!\w)bearer[ \t]{1,3}(?P<s>(?=[A-Za-z_.~+/=-]{0,200}[0-9])[\w.~+/=-]{16,})",
    ),
    _holds(
        "basic",
        "basic",
        r"(?<!\w)basic[ \t]{1,3}(?P<s>[A-Za-z0-9+/]{4,}={0,2})",
        _is_user_and_password,
    ),
    _holds(
        "user-option",
        "-u",
        r"(?:\A|(?<=[ \t\"'=(]))(?:-u[ \t]{0,3}|--(?:proxy-)?user[ \t=]{1,3})[\"']?"
        r"(?P<s>(?![0-9]{1,9}:[0-9]{1,9}(?![^\s\"']))\w[\w.@+-]{0,60}"
        r":(?!//)[^\s\"'$<{\\][^\s\"']{0,200})",
    ),
    _holds(
        "connection-string",
        "server= host= source= dbname= database= endpoint=",
        r"(?:server|host|source|dbname|database|endpoint)=[^\n]{0,100}?(?<!,)[;\s]"
        r"(?:password|pwd)[ \t]{0,2}=[ \t]{0,2}(?P<s>(?!\[)[^\s;\"']+)",
    ),
    _holds(
        "netrc",
        "login",
        r"(?:machine[ \t]{1,8}\S{1,255}|default)[\s+-]{1,20}login[ \t]{1,8}\S{1,255}"
        r"[\s+-]{1,20}password[ \t]{1,8}(?P<s>(?!\[secret)[^\s\"']+)",
    ),
    _holds(
        "password-hash",
        "$",
        r"\$(?:2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
        r"|[156y]\$[^$\s]{1,32}\$[./A-Za-z0-9]{22,86}"
        r"|argon2id?\$[^\s\"']{20,200})",
    ),
)

# Most texts hold none of these; asking for all at once is what keeps that cheap.
_LITERALS = [
    (literal, shape.anchored, position)
    for position, shape in enumerate(_SHAPES)
    for literal in shape.literals
]


_ESCAPE = re.compile("~[01]")


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each secret: what kind it is of, and from where to where it stands.

    A path to a value spells `/` as `~1`; what such a text says without that counts too.
    """
    yield from _spans(text)
    if "~1" not in text:
        return
    ends = [match.end() for match in _ESCAPE.finditer(text)]
    # Where in the plain text so many characters have been left out.
    plain = [end - number for number, end in enumerate(ends, start=1)]
    told = text.replace("~1", "/").replace("~0", "~")
    for name, start, end in _spans(told):
        yield name, start + bisect_right(plain, start), end + bisect_right(plain, end)


def _spans(text: str) -> Iterator[tuple[str, int, int]]:
    if len(text) < _SHORTEST:
        return
    lowered = text.lower()
    present = {
        position
        for literal, anchored, position in _LITERALS
        if literal in (text if anchored else lowered)
    }
    for shape in map(_SHAPES.__getitem__, sorted(present)):
        for start, end in shape.spans(text):
            yield shape.name, start, end
