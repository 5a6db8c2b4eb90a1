"""Whoever names a URL names a machine that we then talk to from inside the operator's
network. Each URL of the table is tried at every door: saved by REST, called for the
challenge, called for a message after somebody put it into the table by hand. A shim
writes down every connect(): none may go where we must not.
"""

import os
import time

import pytest
from hostile import Watched, is_denied
from shopbell import Shopify, make_workspace, shopify_order, wait_for

REFUSED, SAVED = "refused", "saved"

# What a stranger's name server may say; never asked, the shim answers.
NAMES = {
    "public.test": [["8.8.8.8"]],
    "public6.test": [["2606:4700:4700::1111"]],
    "loopback.test": [["127.0.0.1"]],
    "loopback6.test": [["::1"]],
    "private.test": [["10.0.0.7"]],
    "private172.test": [["172.31.255.254"]],
    "private192.test": [["192.168.1.1"]],
    "metadata.test": [["169.254.169.254"]],
    "alibaba.test": [["100.100.100.200"]],
    "azure.test": [["168.63.129.16"]],
    "oracle.test": [["192.0.0.192"]],
    "zero.test": [["0.0.0.0"]],
    "broadcast.test": [["255.255.255.255"]],
    "multicast.test": [["224.0.0.1"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "compatible.test": [["::7f00:1"]],
    "nat64.test": [["64:ff9b::7f00:1"]],
    "sixtofour.test": [["2002:7f00:1::1"]],
    "teredo.test": [["2001:0:7f00:1::"]],
    "unique.test": [["fd00:ec2::254"]],
    "linklocal6.test": [["fe80::1"]],
    "all6.test": [["::"]],
    "metadata.google.internal": [["169.254.169.254"]],
    "instance-data": [["169.254.169.254"]],
    "first-private.test": [["127.0.0.1", "10.0.0.1"]],
    "flip.test": [["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"]],
    "xn--mnchen-3ya.test": [["127.0.0.1"]],
    "127.0.0.1.nip.test": [["127.0.0.1"]],
    "localhost.localdomain": [["127.0.0.1"]],
    "ip6-localhost": [["::1"]],
    "kubernetes.default.svc": [["10.96.0.1"]],
    "*": [["127.0.0.1"]],  # any other: the worst
}

LOOPBACKS = [
    "127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001",
    "0x7F.0x0.0x0.0x1", "0x7f.1", "0x7f.0.0.1", "017700000001", "0177.0.0.1", "0177.0.0.01",
    "00000177.0.0.1", "127.0.0x0.1", "0x7f.0.1", "127.000.000.001", "0", "0.0.0.0", "0x0", "00",
    "0.0", "000.000.000.000", "127.0.0.1.", "0x7f000001.", "2130706433.", "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1", "127.0.0.1%00", "127.0.0.1%2f", "1%32%37.0.0.1",
    "4294967295", "0xffffffff", "037777777777", "4294967296", "0x100000001", "127.0.0.1.1",
    "256.256.256.256", "127.0.0.256", "127..0.1", ".127.0.0.1", "127.0.0.-1", "+127.0.0.1",
    "0b1111111.1", "0x", "0x.0x.0x.0x",
]
PRIVATES = [
    "10.0.0.0", "10.0.0.1", "10.255.255.255", "167772161", "0xa000001", "0xa.0.0.1", "012.0.0.1",
    "10.1", "172.16.0.1", "172.31.255.255", "2886729729", "0xac.0x10.0.1", "192.168.0.1",
    "192.168.1", "3232235777", "0xc0a80101", "0300.0250.1.1", "169.254.169.254", "169.254.1.1",
    "2852039166", "0xa9fea9fe", "0xa9.254.169.254", "0251.0376.0251.0376", "169.16689662",
    "100.64.0.1", "100.100.100.200", "100.127.255.255", "168.63.129.16", "192.0.0.1",
    "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "0.1.2.3",
]
SIXES = [
    "[::1]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::]",
    "[0:0:0:0:0:0:0:0]", "[::ffff:127.0.0.1]", "[::FFFF:127.0.0.1]", "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]", "[::ffff:10.0.0.1]", "[::ffff:a00:1]", "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]", "[::ffff:0:127.0.0.1]", "[::127.0.0.1]", "[::7f00:1]", "[::10.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]", "[2002:7f00:1::1]", "[2002:a00:1::]", "[2002:c0a8:101::1]",
    "[2001:0:7f00:1::]", "[2001::1]", "[2001:db8::1]", "[3fff::1]", "[3ffe::1]", "[fc00::1]",
    "[fd00::1]", "[fd00:ec2::254]", "[fdff:ffff::1]", "[fe80::1]", "[fe80::1%25lo]",
    "[fe80::1%25eth0]", "[fe80::1%lo]", "[::1%25lo]", "[2606:4700::1%25lo]", "[febf::1]",
    "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[5f00::1]", "[::1", "::1", "[]", "[:]",
    "[::g]", "[1:2:3:4:5:6:7:8:9]", "[v1.127.0.0.1]", "[127.0.0.1]", "[localhost]", "[::1].",
    "[::1]a", "[[::1]]",
]
NAMED = [
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "LOCALHOST.", "a.localhost",
    "deep.a.localhost", "a.localhost.", "localhost%00", "local%68ost", "%6cocalhost",
    "hooks..test", ".hooks.test", "hooks.test..", "-hooks.test", "hooks_.-.test", "a" * 64 + ".test",
    ".".join(["a" * 60] * 5), "hooks%20.test", "hooks%0a.test", "hooks%2ftest", "hooks%3a80",
    "hooks!.test", "hooks*.test", "*.test", "hooks,test", "hooks;test", "(hooks).test", "hooks'test",
    "hooks`.test", "{hooks}.test", "hooks|test", "hooks^test", "~hooks.test", "hooks=test", "",
    ".", "..",
]
# Dots, digits and letters that some parser takes for ASCII.
UNICODE = [
    "127\u30020\u30020\u30021", "127\uff0e0\uff0e0\uff0e1", "127\uff610\uff610\uff611",
    "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "loc\u0430lhost", "\u217c\u043ecalhost", "127.0.0.1\u200b", "\u200b127.0.0.1", "127\u00ad.0.0.1",
    "m\u00fcnchen.test", "\ufeff127.0.0.1", "127.0.0.1\u0000", "\u202e1.0.0.721",
]
HOSTS = LOOPBACKS + PRIVATES + SIXES + NAMED + UNICODE

WHOLE = [
    # other hosts than they seem
    "http://public.test@127.0.0.1/", "http://public.test:80@127.0.0.1/", "http://@127.0.0.1/",
    "http://:@127.0.0.1/", "http://user:pass@public.test/", "http://user@public.test/",
    "http://127.0.0.1@public.test/", "http://public.test%40127.0.0.1/",
    "http://public.test\\@127.0.0.1/", "http://127.0.0.1\\@public.test/",
    "http://public.test\\.127.0.0.1/", "http:\\\\127.0.0.1\\", "http://public.test#@127.0.0.1/",
    "http://127.0.0.1#@public.test/", "http://127.0.0.1#", "http://public.test?@127.0.0.1/#",
    "http://public.test/#/../127.0.0.1", "http://[::1]@public.test/", "http://a@b@127.0.0.1/",
    "http://public.test;@127.0.0.1/", "http://public.test,127.0.0.1/",
    # not quite a URL
    "", " ", "http", "http:", "http:/", "http://", "http:///127.0.0.1/",
    "http:127.0.0.1", "http:/127.0.0.1/", "////127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "/x",
    "://127.0.0.1/", "http//127.0.0.1/", "http://:80/", "http://?x", "http://#x", "http://%",
    " http://127.0.0.1/", "http://127.0.0.1/ ", "\thttp://127.0.0.1/", "http\t://127.0.0.1/",
    "http:// 127.0.0.1/", "http://127.0.0.1 /", "http://127.0.0.1\t/", "hTTp://127.0.0.1/",
    "\u2028http://127.0.0.1/", "http\u200b://127.0.0.1/", "<http://127.0.0.1/>", "\"http://a.test/\"",
    "URL:http://127.0.0.1/", "view-source:http://127.0.0.1/", "blob:http://127.0.0.1/x",
    # lines of their own
    "http://public.test/\r\nHost: 127.0.0.1", "http://public.test/\nX: y", "http://public.test/\r",
    "http://127.0.0.1\r\n.public.test/", "http://public.test\r\nGET / HTTP/1.1/", "http://public.test/\x00",
    "http://public.test/\x7f", "http://public.test/\x1b[31m", "http://public.test/\x01",
    # schemes
    "file:///etc/passwd", "file://127.0.0.1/etc/passwd", "ftp://127.0.0.1/", "ftp://public.test/",
    "gopher://127.0.0.1:6379/_FLUSHALL", "dict://127.0.0.1:11211/stats", "ldap://127.0.0.1/",
    "tftp://127.0.0.1/x", "telnet://127.0.0.1:22", "smtp://127.0.0.1:25/", "imap://127.0.0.1/",
    "pop3://127.0.0.1/", "rtsp://127.0.0.1/", "scp://127.0.0.1/etc/passwd", "sftp://127.0.0.1/x",
    "smb://127.0.0.1/share", "mqtt://127.0.0.1/", "ws://127.0.0.1/", "wss://public.test/",
    "javascript:alert(1)", "data:text/plain,x", "unix:/run/postgresql/.s.PGSQL.5432",
    "http+unix://%2frun%2fpostgresql/", "jar:http://127.0.0.1!/", "netdoc:///etc/passwd", "h2c://public.test/",
    "httpss://public.test/", "xhttp://public.test/",
    # ports
    "http://public.test:22/", "http://public.test:25/", "http://public.test:1/",
    "http://public.test:1023/", "http://public.test:0/", "http://public.test:-1/",
    "http://public.test:65536/", "http://public.test:4294967376/", "http://public.test:80:80/",
    "http://public.test:http/", "http://public.test:0x50/", "http://public.test:+80/",
    "http://public.test: 80/", "http://public.test:80a/", "http://public.test:6379/",
    "http://public.test:5432/", "http://public.test:3306/", "http://public.test:11211/",
    "http://public.test:9200/", "http://public.test:27017/", "http://public.test:2375/",
    "http://public.test:2379/", "http://public.test:10250/", "http://public.test:6000/",
    "http://127.0.0.1:5432/", "http://[::1]:6379/",
    # too much
    "http://public.test/" + "a" * 2048, "http://" + "a." * 1100 + "test/", "http://" + "a" * 300,
]

# Harmless to look at: a name, or a public address. What they resolve to is judged
# when they are called.
SAVED_URLS = [
    "http://loopback.test/", "http://loopback.test:8080/x?y=z", "https://loopback.test/",
    "https://loopback6.test:8443/", "http://private.test/", "https://private172.test/",
    "http://private192.test/", "http://metadata.test/latest/meta-data/", "http://alibaba.test/",
    "http://azure.test/", "http://oracle.test/", "http://zero.test/", "http://broadcast.test/",
    "http://multicast.test/", "http://mapped.test/", "http://compatible.test/", "http://nat64.test/",
    "http://sixtofour.test/", "http://teredo.test/", "http://unique.test/", "http://linklocal6.test/",
    "http://all6.test/", "http://metadata.google.internal/computeMetadata/v1/",
    "http://instance-data/latest/", "http://first-private.test/", "http://flip.test/",
    "http://xn--mnchen-3ya.test/", "http://127.0.0.1.nip.test/", "http://localhost.localdomain/",
    "http://ip6-localhost/", "http://kubernetes.default.svc/", "http://LOOPBACK.TEST/",
    "http://loopback.test./", "http://loopback.test?x", "http://1password.test/",
    "http://0x7f.test/", "http://localhost.test/", "http://notlocalhost/", "http://hooks_x.test/",
    "http://loopback.test/%0d%0aX:%20y", "http://loopback.test/@127.0.0.1/",
    "http://127.0.0.1e0/", "http://1e2/", "http://loopback.test/?u=http://127.0.0.1/", "HTTP://loopback.test/", "http://loopback.test//",
]
REACHABLE = ["http://public.test/", "https://public6.test/", "http://8.8.8.8/", "http://134744072/"]

TABLE = ([(f"http://{host}/", REFUSED) for host in HOSTS] + [(url, REFUSED) for url in WHOLE]
         + [(url, SAVED) for url in SAVED_URLS])


def test_the_table_is_long_enough():
    urls = [url for url, _ in TABLE]
    assert len(urls) == len(set(urls)) and len(urls) >= 200


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    made = Watched(tmp_path_factory.mktemp("hostile"), NAMES, SHOPBELL_DELIVER_ALLOW_NETWORKS="")
    yield made
    made.close()


@pytest.fixture(scope="module")
def brand(watched):
    return make_workspace(watched.server, "hostile")


def denied(connects):
    return [one for one in connects if is_denied(one[0])]


def test_saving_refuses_or_takes_each(watched, brand):
    """A dry run of every row: with words, at the url, and never 500."""
    wrong = []
    for number, (url, expected) in enumerate(TABLE):
        answer = brand.call("POST", "/v1/subscriptions?validate_only=true",
                            {"name": f"u{number}", "url": url, "topics": ["order.*"]})
        if expected == SAVED:
            good = answer.status == 200
        else:
            good = (answer.status == 422 and answer.json["errors"][0]["pointer"] == "#/url"
                    or answer.status == 400 and "\x00" in url)
        if not good:
            wrong.append((url, expected, answer.status, answer.json.get("detail")))
    assert not wrong, wrong
    assert watched.connects() == [], "saving calls nobody"


def test_the_challenge_calls_none_of_them(watched, brand):
    wrong = []
    for number, url in enumerate(SAVED_URLS):
        name = f"c{number}"
        brand.post("/v1/subscriptions", {"name": name, "url": url, "topics": ["order.*"],
                                         "timeout": "3s"}, expect=201)
        answer = brand.call("POST", f"/v1/subscriptions/{name}/verify", {})
        if answer.status != 422 or "not public" not in answer.json["detail"]:
            wrong.append((url, answer.status, answer.json))
        brand.call("DELETE", f"/v1/subscriptions/{name}", expect=204)
    assert not wrong, wrong
    assert denied(watched.connects()) == []


def test_a_message_goes_to_none_of_them(watched, brand):
    """As if each had been saved: by an older version, other settings, a hand in the
    table. Beside them public ones, which show that the shim sees what is called."""
    cluster = watched.cluster
    urls = [url for url, _ in TABLE if "\x00" not in url] + REACHABLE
    ids = {}
    for number, url in enumerate(urls):
        made = brand.post("/v1/subscriptions", {
            "name": f"m{number}", "url": "https://public.test/", "topics": ["order.completed"],
            "timeout": "5s"}, expect=201)
        ids[made["id"]] = url
    connection = cluster.connect()
    with connection.cursor() as cursor:
        for subscription_id, url in ids.items():
            cursor.execute("UPDATE subscription SET url = %s, status = 'active' WHERE id = %s",
                           (url, subscription_id))
    connection.close()
    shop = Shopify(brand)  # a change of our own: with its answer the server has these, too

    def attempts():
        return dict((str(row[0]), row[1:]) for row in cluster.query(
            "SELECT DISTINCT ON (subscription_id) subscription_id, outcome, response_status, error"
            " FROM attempt ORDER BY subscription_id, number"))
    shop.send("orders/create", shopify_order(
        1, 1, "jane@example.com", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
    wait_for(lambda: len(attempts()) >= len(ids), 60, 0.5, "each was tried")
    wrong = [(ids[key], row) for key, row in attempts().items()
             if key in ids and (row[0] != "retry" or row[1] != 0 or not row[2])]
    assert not wrong, wrong
    connects = watched.connects()
    assert denied(connects) == []
    assert {"8.8.8.8", "2606:4700:4700::1111"} <= {address for address, _ in connects}
    told = "".join(row[2] for row in attempts().values())
    assert "127.0.0.1" not in told and "169.254" not in told, "what names stand for stays ours"


def test_nobody_was_called_who_must_not_be(watched):
    assert denied(watched.connects()) == []
    # And the judge knows a denied one when it sees one.
    for answers in NAMES.values():
        for address in sum(answers, []):
            assert is_denied(address) == (address not in ("8.8.8.8", "2606:4700:4700::1111")), address
    assert os.path.exists(watched.log_path)


def test_a_new_url_makes_it_pending_again(brand):
    """An active subscription may not be turned against somebody by a patch."""
    brand.post("/v1/subscriptions", {"name": "turn", "url": "https://public.test/a",
                                     "topics": ["order.*"]}, expect=201)
    answer = brand.call("PATCH", "/v1/subscriptions/turn", {"url": "http://169.254.169.254/"})
    assert answer.status == 422 and answer.json["type"] == "/problems/url-not-allowed"
    answer = brand.call("PATCH", "/v1/subscriptions/turn", {"url": "https://metadata.test/"},
                        expect=200)
    assert answer.json["status"] == "pending"
