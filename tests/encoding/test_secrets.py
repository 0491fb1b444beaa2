"""What is taken for a secret, and what is not.

No sample is a secret of anybody. They are put together here, so that no tool that looks
for secrets finds one in this file.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provenance.encoding import (
    private_keys,
    secret_assignments,
    secret_shapes,
    secrets,
)
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from provenance.model.values import Value


def mixed(count: int) -> str:
    """Return letters and digits that no two tests need to be different."""
    return ("Ab3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 12)[:count]


def digits(count: int) -> str:
    return ("0123456789abcdef" * 12)[:count]


def capitals(count: int) -> str:
    return ("Z7Q4M2X9K5T8R3W6" * 12)[:count]


BODY = "\n".join([mixed(64)] * 3)
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----\n"
BASIC = base64.b64encode(b"me:hunter2").decode()

SHAPES = {
    "private-key": [
        PEM,
        PEM.replace("RSA ", ""),
        PEM.replace("RSA", "OPENSSH"),
        PEM.replace("RSA ", "ENCRYPTED "),
        PEM.replace("\n", "\\n"),
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 2\n\n{BODY}",
        f"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: me\n{BODY}",
        "+-----BEGIN EC PRIVATE KEY-----\n+Proc-Type: 4,ENCRYPTED\n+\n+" + mixed(64),
    ],
    "openssh-key": ["b3BlbnNzaC1rZXktdjE" + mixed(40)],
    "putty-key": ["PuTTY-User-Key-File-" + "2: ssh-rsa"],
    "age-key": ["AGE-SECRET-KEY-" + "1" + capitals(58)],
    "jwk": ['{"kty": "EC", "d": "' + mixed(43) + '"}'],
    "aws-key-id": ["AKIA" + capitals(16), "ASIA" + capitals(16)],
    "aws-secret-key": ["aws_secret_access_key = " + mixed(40)],
    "aws-session-token": ["IQoJ" + mixed(200), "FwoGZXIvYXdz" + mixed(99)],
    "aws-bedrock-key": ["ABSK" + mixed(60)],
    "aws-mws-token": ["amzn.mws." + "4ea38b7b-f563-7709-4bae-87aea15c2a2f"],
    "aws-signed-url": [
        "https://b.s3.amazonaws.com/k?X-Amz-Date=20260101T000000Z&X-Amz-Signature="
        + digits(64)
    ],
    "gcs-signed-url": [
        "https://storage.googleapis.com/b/k?X-Goog-Signature=" + digits(128)
    ],
    "signed-url": [
        "https://d1.cloudfront.net/x?Expires=1&Signature="
        + mixed(60)
        + "&Key-Pair-Id=1"
    ],
    "google-api-key": ["AIza" + mixed(35)],
    "google-token": ["ya29." + mixed(60), "1//0" + mixed(40)],
    "google-client-secret": ["GOCSPX-" + mixed(28)],
    "azure-sas": [
        "https://acc.blob.core.windows.net/c/b?sv=2022-11-02&sp=r&sig="
        + mixed(43)
        + "%3D"
    ],
    "azure-account-key": [
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + mixed(86) + "==",
        "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKey=" + mixed(43) + "=",
    ],
    "azure-client-secret": ["abc8" + "Q~" + mixed(33)],
    "azure-devops-token": [mixed(76) + "AZDO" + mixed(4)],
    "alibaba-key-id": ["LTAI" + mixed(20)],
    "tencent-key-id": ["AKID" + mixed(32)],
    "yandex-key": ["AQVN" + mixed(36)],
    "digitalocean-token": ["dop_v1_" + digits(64)],
    "heroku-key": ["HRKU-" + mixed(60)],
    "fly-token": ["fo1_" + mixed(43)],
    "huggingface-token": ["hf_" + mixed(34), "api_org_" + mixed(34)],
    "anthropic-key": ["sk-ant-" + "api03-" + mixed(90) + "-AA"],
    "openai-key": [
        "sk-" + mixed(48),
        "sk-" + "proj-" + mixed(40) + "_" + mixed(40),
        "sk-" + "or-v1-" + digits(64),
    ],
    "groq-key": ["gsk_" + mixed(52)],
    "replicate-token": ["r8_" + mixed(37)],
    "perplexity-key": ["pplx-" + mixed(48)],
    "xai-key": ["xai-" + mixed(80)],
    "cerebras-key": ["csk-" + mixed(48)],
    "fireworks-key": ["fw_" + mixed(24)],
    "nvidia-key": ["nvapi-" + mixed(64)],
    "langsmith-key": ["lsv2_" + "pt_" + digits(32) + "_" + digits(10)],
    "pinecone-key": ["pcsk_" + mixed(6) + "_" + mixed(63)],
    "tavily-key": ["tvly-" + "dev-" + mixed(32)],
    "e2b-key": ["e2b_" + digits(40)],
    "neptune-token": ["eyJhcGlfYWRkcmVzcyI6" + mixed(80)],
    "wandb-key": [
        "wandb_v1_" + mixed(60),
        "WANDB_API_KEY=" + digits(40),
        "wandb login " + digits(40),
        'wandb.login(key="' + digits(40) + '")',
    ],
    "kaggle-token": ["KGAT_" + digits(32)],
    "kaggle-key": ['{"username":"me","key":"' + digits(32) + '"}'],
    "databricks-token": ["dapi" + digits(32), "dapi" + digits(32) + "-2"],
    "github-token": [
        "ghp_" + mixed(36),
        "gho_" + mixed(36),
        "ghs_" + mixed(36),
        "github_pat_" + mixed(22) + "_" + mixed(59),
    ],
    "gitlab-token": ["glpat-" + mixed(20), "GR1348941" + mixed(20)],
    "bitbucket-token": ["ATBB" + mixed(32)],
    "atlassian-token": ["ATATT3" + mixed(180)],
    "npm-token": ["npm_" + mixed(36)],
    "pypi-token": ["pypi-" + "AgEIcHlwaS5vcmc" + mixed(100)],
    "rubygems-key": ["rubygems_" + digits(48)],
    "crates-token": ["cio" + mixed(32)],
    "docker-token": ["dckr_" + "pat_" + mixed(27)],
    "artifactory-key": ["AKCp" + mixed(69)],
    "postman-key": ["PMAK-" + digits(24) + "-" + digits(34)],
    "terraform-token": [mixed(14) + ".atlasv1." + mixed(67)],
    "pulumi-token": ["pul-" + digits(40)],
    "vault-token": ["hvs." + mixed(90)],
    "doppler-token": ["dp." + "pt." + mixed(43)],
    "supabase-key": ["sbp_" + digits(40)],
    "planetscale-token": ["pscale_" + "tkn_" + mixed(43)],
    "slack-token": [
        "xoxb-" + "123456789012-" + mixed(24),
        "xapp-" + "1-A1-" + mixed(64),
    ],
    "slack-webhook": ["https://hooks.slack.com/services/" + "T0/B0/" + mixed(24)],
    "discord-webhook": [
        "https://discord.com/api/webhooks/" + "1" * 18 + "/" + mixed(68)
    ],
    "discord-token": ["M" + mixed(23) + "." + mixed(6) + "." + mixed(38)],
    "telegram-token": ["123456789:" + "AA" + mixed(33)],
    "twilio-key": ["SK" + digits(32)],
    "sendgrid-key": ["SG." + mixed(22) + "." + mixed(43)],
    "mailgun-key": ["key-" + digits(32)],
    "mailchimp-key": [digits(32) + "-us21"],
    "stripe-key": ["sk_" + "live_" + mixed(24), "rk_" + "test_" + mixed(24)],
    "stripe-webhook": ["whsec_" + mixed(32)],
    "shopify-token": ["shpat_" + digits(32)],
    "square-token": ["sq0atp-" + mixed(22)],
    "facebook-token": ["EAACEdEose0cBA" + mixed(60)],
    "new-relic-key": ["NRAK-" + capitals(27)],
    "grafana-token": ["glsa_" + mixed(32) + "_" + digits(8)],
    "sentry-token": ["sntrys_" + mixed(60)],
    "linear-key": ["lin_api_" + mixed(40)],
    "notion-token": ["ntn_" + mixed(46), "secret_" + mixed(43)],
    "figma-token": ["figd_" + mixed(40)],
    "airtable-token": ["pat" + mixed(14) + "." + digits(64)],
    "dropbox-token": ["sl." + mixed(130)],
    "jwt": ["eyJ" + mixed(20) + ".eyJ" + mixed(40) + "." + mixed(43)],
    "database-url": [
        "postgresql+psycopg://me:p/w@db.example.org:5432/x",
        "redis://:hunter2@localhost:6379/0",
        "mongodb+srv://me:hunter2@cluster0.example.net",
    ],
    "url-password": [
        "https://me:hunter2@example.org/x.git",
        "ftp://me:hunter2@example.org",
        "s3://" + "key:secret@bucket",
    ],
    "odd-url-password": [
        "https://me:pa/hunter2@example.org/x",
        "https://me:pa#hunter2@example.org",
        "s3://me:pa?hunter2@bucket",
        "ftp://me:pa hunter2@example.org",
    ],
    "user-option": ["-ume:hunter2", "-u me:hunter2", "--proxy-user=me:hunter2"],
    "url-token": ["https://" + mixed(40) + "@github.example.org/x.git"],
    "authorization": [
        "Authorization: Bearer hunter2",
        '{"Authorization": "Token hunter2-hunter2"}',
        "authorization=hunter2",
    ],
    "bearer": ["curl -H 'X: Bearer " + mixed(30) + "'"],
    "basic": [f"X: Basic {BASIC}"],
    "connection-string": [
        "Server=db;Database=x;User Id=me;Password=hunter2;",
        "host=db user=me password=hunter2",
    ],
    "netrc": [
        "machine example.org login me password hunter2",
        "machine example.org\n  login me\n  password hunter2\n",
        "default login me password hunter2",
    ],
    "password-hash": [
        "$2b$12$" + mixed(53),
        "$6$" + mixed(16) + "$" + mixed(86),
        "$argon2id$v=19$m=65536,t=3,p=4$" + mixed(22) + "$" + mixed(43),
    ],
}
SAMPLES = [(name, text) for name, texts in SHAPES.items() for text in texts]
IDS = [f"{name}-{number}" for number, (name, _) in enumerate(SAMPLES)]

HARMLESS = [
    "",
    "hf_hub",
    "sk-learn",
    "task-" + mixed(48),
    "sha256:" + hashlib.sha256(b"x").hexdigest(),
    hashlib.sha1(b"x", usedforsecurity=False).hexdigest(),
    "sha512-" + base64.b64encode(hashlib.sha512(b"x").digest()).decode(),
    "https://example.org:8080/path@v1/x",
    "https://example.org/?q=a:b@c",
    "http://localhost:9000/a@b/c",
    "http://{host}:{port}/a@b",
    "http://$HOST:$PORT/a@b",
    "see https://x: it is there, or ask me@example.org",
    "docker run -u 1000:1000 x",
    "-user: me",
    "x\n-user:me",
    "HEAD~1 and HEAD~10",
    "/https:~1~1example.org~1a@b",
    "git@github.com:me/x.git",
    "https://me@example.org/x.git",
    "ssh://git@example.org:22/x.git",
    "s3://bucket/prefix",
    "abfss://container@account.dfs.core.windows.net/x",
    "postgresql://localhost:5432/x",
    "http://localhost:9000/a/b",
    "meta-llama/Llama-3.2-1B-Instruct",
    "A basic understanding of the world",
    "the bearer of bad news",
    "Bearer authentication-with-a-token",
    "Authorization: ${TOKEN_FROM_ENV}",
    "Authorization: <your token>",
    "if '-----BEGIN PRIVATE KEY-----' in text:",
    "-----BEGIN PUBLIC KEY-----\n" + mixed(64),
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA" + mixed(43),
    "2026-01-01T00:00:00.000000Z",
    "12345678-1234-1234-1234-123456789abc",
    "torch==2.9.0+cu128",
    "machine learning, login to the hub, password reset",
    "wandb: commit " + digits(40),
    "Basic \u017f\u017f\u017f\u017f",
    "/home/me/data/train-00001-of-00128.parquet",
    "[secret]",
    "https://[secret]@example.org",
    "Authorization: [secret]",
]

NAMES = """
    password PASSWORD db_password dbPassword db-password db.password user.passwd
    PGPASSWORD MYSQL_PWD pwd passphrase ssh_passphrase passcode pass db_pass smtp.pass
    secret client_secret clientSecret secret_key SecretAccessKey aws_secret_access_key
    token HF_TOKEN hf-token hub_token access_token accessToken refreshToken authToken
    githubtoken api_tokens WANDB_API_KEY api_key apiKey API-KEY api.key x-api-key
    apikey openai_key OPENAI_API_KEY AWS_ACCESS_KEY_ID access_key private_key privateKey
    PRIVATE_KEY_PEM signing_key encryption_key account_key sshkey api_keys apikeys
    credential credentials creds google_credentials authorization Authorization
    proxy-authorization basic_auth auth bearer cookie set-cookie cookies dsn SENTRY_DSN
    connection_string connectionString connstr conn_string sas sas_token jwt otp netrc
    pw db_pw DB_PW --pw pass_phrase pass-word passCode
    password_2 token3 Passwort senha contrasena contraseña secrets
"""

OTHER_NAMES = """
    max_tokens maxTokens num_tokens tokens tokens_per_second n_tokens total_tokens
    pad_token bos_token eos_token mask_token unk_token cls_token sep_token image_token
    decoder_start_token padToken eostoken special_tokens additional_special_tokens
    token_type_ids token_ids token_id token_index num_input_tokens_seen next_token
    tokenizer tokenizer_name tokenize subtoken loss_per_token forced_bos_token_id
    author authors authority keyboard key keys primary_key foreign_key sort_key
    key_value num_key_value_heads monkey turkey public_key dataset_key query_key
    key_padding_mask passes forward_pass n_passes bypass pass_rate compass
    passage_encoder secretary password_length min_password_length secret_name
    password_file
    token_url auth_mode auth_type credentials_path credential_provider cookie_policy
    conv_pw dw_pw pass_count StrictHostKeyChecking
    lr betas sasha saskatoon conn connection string optimizer 42 _ é - 日本語
"""


class TestNames:
    @pytest.mark.parametrize("name", NAMES.split())
    def test_it_is_the_name_of_a_secret(self, name: str) -> None:
        assert secrets.is_secret_name(name)

    @pytest.mark.parametrize("name", ["", *OTHER_NAMES.split()])
    def test_it_is_not(self, name: str) -> None:
        assert not secrets.is_secret_name(name)

    @given(st.text())
    def test_any_text_may_be_a_name(self, name: str) -> None:
        assert secrets.is_secret_name(name) in (True, False)


class TestShapes:
    def test_there_are_many(self) -> None:
        assert len(SHAPES) >= 80

    def test_each_has_a_sample_here(self) -> None:
        known = {shape.name for shape in secret_shapes._SHAPES}
        assert known == set(SHAPES)

    @pytest.mark.parametrize(("name", "text"), SAMPLES, ids=IDS)
    def test_a_secret_is_known_by_its_shape(self, name: str, text: str) -> None:
        assert name in {found for found, _, __ in secret_shapes.spans(text)}
        assert secrets.looks_secret(text) is not None

    @pytest.mark.parametrize(("name", "text"), SAMPLES, ids=IDS)
    @pytest.mark.parametrize(
        ("before", "after"),
        [("x = '", "'\n"), ("see ", " and more"), ('{"a": "', '"}'), ("(", ")")],
    )
    def test_it_is_known_inside_other_text(
        self, name: str, text: str, before: str, after: str
    ) -> None:
        found = {found for found, _, __ in secret_shapes.spans(before + text + after)}
        assert name in found

    @pytest.mark.parametrize("before", ["a%3D", "a\\n", "a\\t", '\\"'])
    def test_an_escape_before_it_does_not_hide_it(self, before: str) -> None:
        text = before + "hf_" + mixed(34)
        assert secrets.looks_secret(text) == "huggingface-token"

    @pytest.mark.parametrize("text", HARMLESS)
    def test_what_is_no_secret_is_left(self, text: str) -> None:
        assert secrets.looks_secret(text) is None

    @given(st.binary(min_size=32, max_size=32))
    def test_no_digest_is_a_secret(self, content: bytes) -> None:
        digest = hashlib.sha256(content)
        for text in (
            digest.hexdigest(),
            "sha256:" + digest.hexdigest(),
            "sha256-" + base64.b64encode(digest.digest()).decode(),
            "sha256=" + base64.urlsafe_b64encode(digest.digest()).decode().rstrip("="),
        ):
            assert secrets.looks_secret(text) is None

    def test_the_first_rule_gives_the_name(self) -> None:
        text = "https://me:" + "hf_" + mixed(34) + "@example.org"
        names = [name for name, _, __ in secret_shapes.spans(text)]
        assert names == ["huggingface-token", "url-password"]
        assert secrets.looks_secret(text) == "huggingface-token"


def found(value: Value) -> set[str]:
    """Return the paths of what is found in a value."""
    record = values.of(value)
    return {record[position][0] for position in secrets.find(record)}


class TestFindingInRecords:
    @pytest.mark.parametrize(("name", "text"), SAMPLES, ids=IDS)
    def test_a_secret_is_found_wherever_it_stands(self, name: str, text: str) -> None:
        assert name
        assert found({"a": {"b": [1, text]}}) == {"/a/b/1"}
        assert found(text) == {""}

    @pytest.mark.parametrize("text", HARMLESS)
    def test_what_is_no_secret_is_left(self, text: str) -> None:
        assert found({"a": text}) == set()

    def test_text_and_bytes_under_the_name_of_a_secret_are(self) -> None:
        value: Value = {"api_key": "x", "token": b"\x01", "lr": 0.1, "name": "x"}
        assert found(value) == {"/api_key", "/token"}

    def test_numbers_are_under_the_name_of_a_password_alone(self) -> None:
        value: Value = {"token": 5, "password": 1234, "secret": 1.5, "api_key": 7}
        assert found(value) == {"/password", "/secret"}

    def test_truth_nothing_and_empty_text_never_are(self) -> None:
        value: Value = {
            "password": None,
            "secret": True,
            "token": "",
            "api_key": b"",
            "credentials": {},
            "passwords": [],
        }
        assert found(value) == set()

    def test_a_name_counts_for_all_that_is_below_it(self) -> None:
        value: Value = {"credentials": {"user": "me", "keys": ["x", {"port": 1}]}}
        assert found(value) == {"/credentials/user", "/credentials/keys/0"}
        assert found({"a/b~password": ["x"]}) == {"/a~1b~0password/0"}

    @pytest.mark.parametrize(
        "value",
        [
            {"openai": {"key": "x"}},
            {"api": [{"key": "x"}]},
            {"my_api": {"keys": {"first": "x"}}},
            {"db": {"pass": "x"}},
            {"connection": {"string": "x"}},
        ],
    )
    def test_a_name_counts_with_the_one_above_it(self, value: Value) -> None:
        assert len(found(value)) == 1

    @pytest.mark.parametrize(
        "value", [{"sort": {"key": "x"}}, {"model": {"string": "x"}}, {"key": ["api"]}]
    )
    def test_other_names_do_not(self, value: Value) -> None:
        assert found(value) == set()

    def test_the_second_of_a_pair_is(self) -> None:
        value: Value = [
            ["X-Api-Key", "x"],
            ["password", 1234],
            ["Authorization:", b"x"],
            ["token", "<pad>"],
            ["token", 5],
        ]
        assert found(value) == {"/0/1", "/1/1", "/2/1"}

    def test_the_second_of_three_or_after_a_sentence_is_not(self) -> None:
        assert found(["password", "email", "name"]) == set()
        assert found(["What is the api key", "a secret"]) == set()
        assert found({"0": "password", "1": "x"}) == set()

    def test_a_header_after_its_flag_is(self) -> None:
        line: Value = ["curl", "-H", "X-Api-Key: x", "--header", "Accept: x"]
        assert found(line) == {"/2"}
        assert found(["curl", "-H", "X-Api-Key: $KEY"]) == set()

    def test_a_commitment_is_left_as_it_is(self) -> None:
        assert found({"password": values.Commitment("0" * 64)}) == set()

    @pytest.mark.parametrize(
        "text",
        ["<pad>", "<|endoftext|>", "[MASK]", "${oc.env:HF_TOKEN}", "<HUB_TOKEN>"],
    )
    def test_a_place_holder_under_such_a_name_is_none(self, text: str) -> None:
        assert found({"hub_token": text}) == set()
        assert found({"password": text}) == {"/password"}

    def test_bytes_are_looked_at_as_text(self) -> None:
        assert found({"a": PEM.encode()}) == {"/a"}
        assert found({"a": b"\xff\x00nothing"}) == set()

    @pytest.mark.parametrize(
        "text",
        [
            "password=hunter2",
            "db.password=password",
            "+db.password=hunter2",
            "API_KEY=x",
            "--api-key=x",
            "--token=abc def",
            "https://example.org/?token=abcdef",
            "psql 'host=h password=hunter2'",
            '{"password": "hunter2"}',
            "password: hunter2",
            "run --password hunter2 --lr 1",
            "--header=X-Api-Key: x",
            "--opt=api_key:x",
            "--env=HF_TOKEN:x",
            "/password:x",
            "…/password:x",
            "-ume:hunter2",
            "--pw=x",
            'get("X", "y"); password = get("X", "hunter2")',
        ],
    )
    def test_text_that_gives_a_value_to_such_a_name_is(self, text: str) -> None:
        assert found({"a": text}) == {"/a"}

    @pytest.mark.parametrize(
        "text",
        [
            "max_tokens=5",
            "--max-tokens=5",
            "Answer with a token: yes or no",
            "User: {user}\nPassword: {password}",
            "password=${PASSWORD}",
            "lr=0.1",
        ],
    )
    def test_other_text_is_not(self, text: str) -> None:
        assert found({"a": text}) == set()

    def test_the_item_after_a_flag_is(self) -> None:
        line: Value = ["train.py", "--password", "hunter2", "-token", "x", "--lr", "1"]
        assert found(line) == {"/2", "/4"}

    def test_the_flag_after_a_flag_is_not(self) -> None:
        assert found(["--password", "--lr", "1"]) == set()
        assert found(["--password"]) == set()

    def test_user_and_password_after_the_flag_of_a_user_are(self) -> None:
        line: Value = ["curl", "-u", "me:hunter2", "--user", "me", "-u", "http://a:1/"]
        assert found(line) == {"/2"}

    def test_an_item_after_what_is_no_text_is_not(self) -> None:
        assert found([1, "x", "password", "y"]) == set()

    def test_the_value_beside_a_name_is(self) -> None:
        value: Value = [
            {"name": "HF_TOKEN", "value": "x"},
            {"key": "password", "value": 5},
            {"name": "LR", "value": "x"},
            {"value": "x"},
        ]
        assert found(value) == {"/0/value"}

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.text() | st.sampled_from(NAMES.split()), inner)
            ),
            max_leaves=20,
        )
    )
    def test_only_values_that_can_be_hidden_are_found(self, value: Value) -> None:
        record = values.of(value)
        kinds = {record[position][1] for position in secrets.find(record)}
        assert kinds <= {"str", "bytes", "int", "float"}

    def test_a_record_of_the_largest_size_takes_no_time(self) -> None:
        names = [f"layer_{number}.some_key" for number in range(9_000)]
        record = values.of(dict.fromkeys(names, "a value of usual length"))
        began = time.process_time()
        assert not secrets.find(record)
        assert time.process_time() - began < 5


class TestKeysOfDicts:
    def test_a_secret_in_a_key_is_cut(self) -> None:
        record = values.of({"sources": [{"https://me:hunter2@example.org/a": 0.5}]})
        masked = values.to(secrets.mask_keys(record))
        assert masked == {"sources": [{"https://[secret]@example.org/a": 0.5}]}

    def test_keys_that_become_equal_stay_apart(self) -> None:
        value: Value = {
            "https://a:b@example.org": 1,
            "https://a:c@example.org": 2,
            "https://[secret]@example.org": 3,
            "https://[secret]@example.org 3": 4,
        }
        masked = values.to(secrets.mask_keys(values.of(value)))
        assert masked == {
            "https://[secret]@example.org": 3,
            "https://[secret]@example.org 2": 1,
            "https://[secret]@example.org 3": 4,
            "https://[secret]@example.org 4": 2,
        }

    @pytest.mark.parametrize("value", [{"password": "x"}, ["x"], "x", {"a": {"b": 1}}])
    def test_a_record_without_one_is_the_same(self, value: Value) -> None:
        record = values.of(value)
        assert secrets.mask_keys(record) is record


CUT = {
    "plain": ("password = 'hunter2'", "password = '[secret]'"),
    "double": ('api_key="hunter2"  # key', 'api_key="[secret]"  # key'),
    "escaped quote": (r'password = "a\"b"', 'password = "[secret]"'),
    "f-string": ('token = f"abc-{user}"', 'token = f"[secret]"'),
    "typed": ('password: str | None = "hunter2"', 'password: str | None = "[secret]"'),
    "json": ('{"password": "a", "x": 1}', '{"password": "[secret]", "x": 1}'),
    "json number": ('{"password":1234}', '{"password":[secret]}'),
    "json in json": (r'"{\"password\": \"a\"}"', r'"{\"password\": \"[secret]\"}"'),
    "subscript": ('os.environ["TOKEN"] = "a1"', 'os.environ["TOKEN"] = "[secret]"'),
    "call": ('os.putenv("API_KEY", "a1")', 'os.putenv("API_KEY", "[secret]")'),
    "list of flags": ('["--password", "a"]', '["--password", "[secret]"]'),
    "comparison": ("if password == 'a':", "if password == '[secret]':"),
    "env": ("export API_KEY=abc(def", "export API_KEY=[secret]"),
    "env, words": ("PASSWORD=correct horse", "PASSWORD=[secret]"),
    "env, a name": ("PASSWORD=password", "PASSWORD=[secret]"),
    "flag": ("run --api-key=a,b --lr=1", "run --api-key=[secret] --lr=1"),
    "flag, apart": ("run --password a --lr 1", "run --password [secret] --lr 1"),
    "first flag": ("--password=abc --lr=1", "--password=[secret] --lr=1"),
    "url": ("GET /?token=abc&x=1", "GET /?token=[secret]&x=1"),
    "url, rest": ("GET /?a=1&api_key=abc", "GET /?a=1&api_key=[secret]"),
    "yaml": ("  password: hunter2", "  password: [secret]"),
    "yaml, item": ("- token: abc123", "- token: [secret]"),
    "yaml, words": ("password: correct horse", "password: [secret]"),
    "yaml, padding": ("password: aGVsbG8=", "password: [secret]"),
    "yaml, inside": ("{user: me, password: abc}", "{user: me, password: [secret]}"),
    "ini": ("password = hunter2", "password = [secret]"),
    "header": ("X-Api-Key: abc123", "X-Api-Key: [secret]"),
    "dsn": ("user=me password=hunter2", "user=me password=[secret]"),
    "option": ("--header=X-Api-Key: abc", "--header=X-Api-Key: [secret]"),
    "option, quoted": ('-H "X-Api-Key: abc" x', '-H "X-Api-Key: [secret]" x'),
    "option of docker": ("run -e HF_TOKEN=abc x", "run -e HF_TOKEN=[secret] x"),
    "flag of a token": ("run --token abc123 x", "run --token [secret] x"),
    "on Windows": ("run /password:abc x", "run /password:[secret] x"),
    "user": ("curl -ume:abc x", "curl -u[secret] x"),
    "pair": ('["X-Api-Key", "abc123"]', '["X-Api-Key", "[secret]"]'),
    "pair, strong": ('["password", "abc" ]', '["password", "[secret]" ]'),
    "tuple": ('("password", "abc")', '("password", "[secret]")'),
    "path to a value": (
        "the value at /https:~1~1me:abc~01@h~1x is one ~0",
        "the value at /https:~1~1[secret]@h~1x is one ~0",
    ),
    "odd password": ("https://a:b/c@d/x", "https://[secret]@d/x"),
    "version": ("git+https://a:b@c/x.git@v1", "git+https://[secret]@c/x.git@v1"),
    "keyword": ("f(password=abc, x=1)", "f(password=[secret], x=1)"),
    "added": ("+password: hunter2", "+password: [secret]"),
    "removed": ("-PASSWORD=correct horse", "-PASSWORD=[secret]"),
    "removed flag": ("---password=abc", "---password=[secret]"),
    "two": ("password='a'; token='b'", "password='[secret]'; token='[secret]'"),
    "url with password": ("https://a:b@c/x", "https://[secret]@c/x"),
    "token": ("x = 'hf_" + mixed(34) + "'", "x = '[secret]'"),
    "long": ("password=" + "a" * 500 + ")", "password=[secret]"),
    "long keyword": ("f(password=" + "a" * 500 + ")", "f(password=[secret])"),
    "other lines": ("a\npassword='b'\nc\n", "a\npassword='[secret]'\nc\n"),
    "carriage returns": ("password='b'\r\nc\r\n", "password='[secret]'\r\nc\r\n"),
}

LEFT = [
    "",
    "lr = 0.1",
    "max_tokens = 5",
    "token: 5",
    "password = password",
    "f(password=db_password)",
    "password = getpass()",
    "token = os.environ['TOKEN']",
    "token = args.hub_token",
    "api_key = self.settings",
    "password: str",
    "password: str | None = None",
    "def f(token: str) -> None:",
    "token = text",
    "token = tokens[3]",
    "for token in tokens:",
    "if token == eos:",
    "token = 128001",
    "password = None",
    "password: {",
    "password: |",
    "password: # later",
    "password:",
    "password=",
    "password=,",
    'password = ""',
    "token = ' '",
    'password = "${PASSWORD}"',
    "password=$PASSWORD",
    "password=$(cat file)",
    "password: <password>",
    'f"password={password}"',
    'columns = ["token", "label"]',
    "(Token, 'x')",
    'parser.add_argument("--token", "-t")',
    'click.option("--password", "password")',
    "    password: The word that opens it.",
    "    api_key: the key of the service",
    "The password: hunter2 was found",
    '"passwd:dir",',
    'x = {"a": ["token", "label"]}',
    '["password", "email", "name"]',
    "-o 'StrictHostKeyChecking=no'",
    "run --password --lr 1",
    "run --password $PASSWORD",
    "run --password PASSWORD",
    "password = '[secret]'",
    "GET /?token=[secret]&x=1",
]


class TestCutting:
    @pytest.mark.parametrize(("text", "expected"), CUT.values(), ids=CUT)
    def test_what_stands_behind_the_name_of_a_secret_is_cut(
        self, text: str, expected: str
    ) -> None:
        cut, count = secrets.cut(text)
        assert cut == expected
        assert count == expected.count("[secret]")

    @pytest.mark.parametrize("text", LEFT)
    def test_other_text_is_left(self, text: str) -> None:
        assert secrets.cut(text) == (text, 0)

    @pytest.mark.parametrize(("name", "text"), SAMPLES, ids=IDS)
    def test_each_shape_is_cut(self, name: str, text: str) -> None:
        cut, count = secrets.cut(f"before = '{text}' # after\n")
        assert count >= 1
        assert "[secret]" in cut
        left = {found for found, _, __ in secret_shapes.spans(cut)}
        assert name not in left
        for part in ("hunter2", mixed(20), digits(20), capitals(16)):
            assert part not in cut

    @pytest.mark.parametrize("prefix", ["", "+", "-", " "])
    def test_a_private_key_leaves_as_many_lines(self, prefix: str) -> None:
        lines = ["a", *PEM.splitlines(), "b"]
        text = "".join(f"{prefix}{line}\n" for line in lines)
        cut, count = secrets.cut(text)
        masked = ["a", *["[secret]"] * 5, "b"]
        assert cut == "".join(f"{prefix}{line}\n" for line in masked)
        assert count == 1

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_a_private_key_without_its_end_is_cut(self, end: str) -> None:
        lines = [*PEM.splitlines()[:-1], "lr = 0.1, 5", mixed(30)]
        cut, count = secrets.cut(end.join(lines))
        assert cut == end.join([*["[secret]"] * 4, "lr = 0.1, 5", mixed(30)])
        assert count == 1

    def test_a_private_key_without_its_beginning_is_cut(self) -> None:
        text = "@@ -2,4 +2,4 @@\n " + PEM.split("\n", 1)[1].replace("\n", "\n ")
        cut, count = secrets.cut(text)
        assert cut == "@@ -2,4 +2,4 @@\n" + " [secret]\n" * 4 + " "
        assert count == 1

    def test_a_private_key_in_the_lines_of_a_program_is_cut(self) -> None:
        body = "".join(f'    "{line}\\n"\n' for line in PEM.splitlines())
        cut, _ = secrets.cut(f"KEY = (\n{body})\n")
        assert mixed(30) not in cut
        assert cut.startswith("KEY = (\n")
        assert cut.endswith(")\n")

    def test_the_key_in_a_file_of_putty_is_cut(self) -> None:
        text = f"PuTTY-User-Key-File-3: x\nPrivate-Lines: 3\n{BODY}\nPrivate-MAC: 0\n"
        cut, _ = secrets.cut(text)
        assert mixed(30) not in cut

    def test_two_keys_are_two_secrets(self) -> None:
        cut, count = secrets.cut(PEM + "x = 1, 2\n" + PEM)
        assert cut == "[secret]\n" * 5 + "x = 1, 2\n" + "[secret]\n" * 5
        assert count == 2

    def test_marks_of_keys_far_apart_leave_the_text_between_them(self) -> None:
        between = "some text, about keys\n" * 1_000
        text = (
            f"-----BEGIN PRIVATE KEY-----\n{between}-----END PRIVATE KEY-----\n"
            "-----END PRIVATE KEY-----\n"
        )
        assert secrets.cut(text) == (text, 0)

    def test_an_empty_line_of_a_key_stays_empty(self) -> None:
        text = PEM.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n", 1)
        assert secrets.cut(text)[0] == "[secret]\n" * 2 + "\n" + "[secret]\n" * 4

    @given(
        st.lists(
            st.sampled_from(
                [text for _, text in SAMPLES]
                + [text for text, _ in CUT.values()]
                + [*LEFT, "\n", "\r\n", "\x0b", "\u2028", "+", "-", " ", "'", '"', "\\"]
            )
            | st.text(max_size=5),
            max_size=12,
        ).map("".join)
    )
    @example("password='\u2028'")
    def test_lines_stay_lines_and_nothing_is_found_any_more(self, text: str) -> None:
        cut, count = secrets.cut(text)
        assert len(cut.splitlines()) == len(text.splitlines())
        assert cut.count("\n") == text.count("\n")
        assert (count == 0) == (cut == text)

    def test_stray_bytes_of_a_patch_do_no_harm(self) -> None:
        text = b"Basic \xff\xff password='\xff'\n".decode("utf-8", "surrogateescape")
        assert secrets.cut(text)[0] == text.replace("'\udcff'", "'[secret]'")


SLOW = [
    "a",
    " ",
    "\n",
    " \t",
    "+",
    "=",
    ".",
    "eyJ",
    "eyJaaaaaaaa.",
    "://",
    "://a:",
    "https://",
    "redis://:",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----\n",
    "Private-Lines: 1\n",
    "sk-",
    "AKIA",
    "SG.a",
    "$6$",
    "wandb key",
    "machine a login b ",
    "secret_key ",
    "bearer ",
    "basic ",
    "host=a ",
    "authorization=",
    "token=",
    "token=a ",
    "token: str = ",
    "password=",
    "password: ",
    "password='",
    'password="\\"',
    'password=\\"',
    '"password":',
    "--password ",
    "x_password",
    "https://a:b ",
    "://a:/",
    "://a:b/c d e f ",
    "~1",
    "~1://a:b/c@d",
    "-u a:",
    " --header=token:",
    "password=[",
    'password=["a",',
    'password=get("a", ',
    "password = (\n",
    'password="""',
    "password='a' + ",
    'setattr(a, "password", ',
    '"password", default=',
    "password:\n",
    "password:\n  a1\n",
    "password:\n  - a1\n - b2\n",
    "password: |\n a\n",
    " password: |\n",
    "a, password = 'x', ",
    "name: password\nvalue: ",
    "name: password, ",
    "<password>",
    "<password> a ",
    "api:\n",
    "api:\n  key: a\n",
    "api: {",
    "- - - - ",
    "password # ",
]


@pytest.mark.parametrize("part", SLOW)
def test_much_of_anything_takes_a_moment(part: str) -> None:
    # What is not linear in the length would take minutes here.
    text = part * (2**18 // len(part)) + "!"
    began = time.process_time()
    secrets.looks_secret(text)
    between = time.process_time()
    secrets.cut(text)
    assert between - began < 5
    assert time.process_time() - between < 10


class TestPrivateKeysInFiles:
    @pytest.mark.parametrize(
        "encode",
        [
            str.encode,
            lambda text: text.encode("utf-16"),
            lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        ],
        ids=["UTF-8", "UTF-16, little", "UTF-16, big"],
    )
    def test_a_key_is_found(self, encode: Callable[[str], bytes]) -> None:
        assert private_keys.in_file(encode("x\n" + PEM))

    @pytest.mark.parametrize("text", SHAPES["private-key"])
    def test_keys_of_all_kinds_are(self, text: str) -> None:
        plain = text.replace("\n+", "\n").removeprefix("+")
        assert private_keys.in_file(plain.encode())

    @pytest.mark.parametrize(
        "content", [b"", b"-----BEGIN PRIVATE KEY-----", b"PRIVATE KEY-----" * 9]
    )
    def test_what_is_none_is_not(self, content: bytes) -> None:
        assert not private_keys.in_file(content)


def test_assignments_are_found_in_order_and_apart() -> None:
    text = "password='a'\n\ntoken='b1' password=c\n"
    spans = list(secret_assignments.spans(text))
    assert [text[start:end] for start, end in spans] == ["a", "b1", "c"]
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
