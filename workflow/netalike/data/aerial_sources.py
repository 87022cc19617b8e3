"""Where the aerial images of Banepa are published: 48 map tiles and the building outlines of OpenStreetMap."""

from __future__ import annotations

from netalike.data.registry import RemoteFile

ZOOM = 19
FIRST_X, FIRST_Y = 386690, 220241  # the tile in the upper left corner
ROWS, COLUMNS = 8, 6
_FOLDER = "aerial/banepa_published"
_REPOSITORY = (
    "https://raw.githubusercontent.com/hotosm/fAIr-models/95f0727e8fb05816c1544766e8039f5237c3867d/data/sample/train/"
)

# Size and SHA-256 of each tile, column by column from the west, each from north to south
_TILES = (
    (67619, "324cb86cd5fd5cef898c5572a530a9a524c4c1ae040a43c350e1ad8a558ba46f"),
    (70336, "f7b120ca4564aa07b121517b7a4b1d434d014d9df440cfeb32f02377d72d14e9"),
    (69887, "f0c0b1807a9ed67d1ca19aa1829b3ee5cf95a6f68186fe6897e1774ad7915457"),
    (71436, "825805e34c76aeaf98764d8fb1127dd948ff54785101e71dfb8c2540bc9f9c54"),
    (67073, "676aa8de9000d80eef0a0cb178059d055baba40acf627132c76068f71894c06f"),
    (62777, "29814cb090946f3ba9208142394011b6d90fee0fb0d4652888b49aab1ad640a4"),
    (71219, "d7d806f7bb50bf7ba9c5ea913823ec0989614cd43cc007ce54999c0f7e4769b2"),
    (57432, "b18c16ca25c5a0c0fe4c1e86dfe7f210d9c0d2aaffe72928746092e0a19f7451"),
    (75001, "92ddb60573b5fecafdb92d55e4d35488b8494f6ac9604b80283bf99cbcc788eb"),
    (76836, "c61e46fe7bf7565f5afdf8dc42bbd7b110403918931e3bf17727a667c196c7c5"),
    (72571, "2bc037c59267504d26bda27a6f747ba03ae37017b8c201cb9a70129e09595c48"),
    (64250, "cf386d2fd11f47e946c955d37eeee4e711e125583366d218a9765203ef4ea36b"),
    (68083, "849735c1ee0b30460d4ecaef189fac8ed249f895465e79629ae1e0fcc30ffa0d"),
    (64590, "40ca6bcb066f1afbbe5481d7bd649fff545071d7ad13f5bde82d9396e35fb378"),
    (75796, "a026a316fb01f31df83e9487d6b5ea6052628b9c9af28f259d0f66d402437b78"),
    (71240, "b4aa890b8ae890950b54af58bffa0fb4d10488587501add1571ce21e7300deea"),
    (77113, "1315ded8636cf805612b8eecc28f92a9219174dd41d1cdedd2617ec45f08ed4b"),
    (79167, "aa8af44f35ac2c0ffdda3058f46607ad445aaa14e815a65bbed08722077d7523"),
    (82912, "8652fed86cfd09d730dd8edb3c42707ecf050a7ac5399c330b71261e3a451f9b"),
    (78972, "4f6a1ee833167c4804c3d3a40a2b615accd65c977c5aab7fc88e1783e663230d"),
    (64973, "fac48a42c86d05ada3127ba77f21080ac678f9279b4e20d2cb47c0095789a59e"),
    (63953, "013e91bec8ad2183d1de1b0175dd62851b9dbb85c4824a25f98236828dab63bc"),
    (69838, "22377a6165ba9375875390cff338f05aaa7cc7df1808f166476a4c7911185590"),
    (63996, "41891bea8a6f7b009636c8e15156d5267134c52325c23014bbc8e463d3408923"),
    (86646, "3162cc9e4e10de302130c84d488e4a113add3ff7b3f1eaa971f6674381400171"),
    (81925, "b578c217af55b0628a3da967af1bd7b72ef47bec551a4db383621a928fae70d4"),
    (81522, "4bd648bb6c0866c6541c8b18f072c640458e31e860b9d4784b65ccdf611a7504"),
    (83976, "8fa2e20b00dca1b2a851387ac3be71c4f04a8b828dd7e72f8ae55b41feac01be"),
    (76280, "84ffdacb4a524cce8bd5d2860b4d69a8950310f239679af3551bbaac396ed867"),
    (69320, "00e72d0dd3ddc26a29de1d68394f6722c4f9e7373ed48549363be29d23f540d1"),
    (66739, "bb0e85404d43f4b79482f68ac4e893b5f6108e6699279a989c1b7d3dce6a7977"),
    (68938, "074d52cb6d9e1b92857ed8eeb500b71e8ba757659241544b65615cf1d36c6544"),
    (81339, "da95698e9491ab4d865f3e3d6777b46fcef97b2a36bd5f4a92b7b56b934bcea6"),
    (79699, "eb39c72857d6b92bc822cd8d6f9715485f53f2c4681359cf2cb1dad1a8b8e867"),
    (75406, "dfb5e9402ef8aa701fff114b9c6f0f6dd1cf48e3855537cb1275f693df1f11f4"),
    (76548, "fd384e037eddabc30cab53d1f51a03d915fb1bf8d4b864fda1dabf123488210b"),
    (72686, "6788bbdb3f321b4fd7d63defb3a5f33a0597607ee3692d10172688640dc89e2d"),
    (71697, "34226372b913f848f7d71a65abb20be788c8e4a9331157d5e9af6d7eb8c0c06f"),
    (63555, "51b65bc93c4acbae48da82af8fbf557d9afd4b2c907a5f0c5e1edf287e96e0c0"),
    (77700, "2cce99257000b3756ef83a309310d57eea388a878b68ed80897953b0758363e9"),
    (73960, "2bc43713245a89996e225ab50ad3b8190be546a247fed0a33c000a62c3d35320"),
    (78037, "8c9d31f7c670b5889edab34e0c0fa27204eae0e2653213bff0658f533cc1d7ff"),
    (75617, "a56f933a07196df1be47f0851b941c4a87bc213e2445ea8ed599287d6b0de629"),
    (72513, "a8d027d6bf40afb9bb4cad655b2ff82735b955315a6783ef5dc015ca4875aadd"),
    (70582, "d7e52fb724a12b69285dc4357421b07ee5c62c920f26eb5a5dac1507e44be7d3"),
    (66526, "984e95b38b0bb953ec166236dd548f333f9258c5c6e71abbbd927c2d4c2a04d8"),
    (66158, "51c4bf18f6489313f55b95c1186866ac4318863423e91a302ea2286786a14b90"),
    (69007, "9a8cac46d71cdf9f77dcf5c34d9b00b9d1877c4b50c02c26389486840fabfbb9"),
)

OUTLINES = RemoteFile(
    f"{_FOLDER}/osm_features.geojson",
    (f"{_REPOSITORY}osm/osm_features_ac7e343eb1faacd2.geojson",),
    1_958_161,
    sha256="3c47cb303d6954f7ba284f213fb8f9d21f4d39f94a550b175b8498caf817fd49",
)


def _tile(index: int, size: int, sha256: str) -> RemoteFile:
    column, row = divmod(index, ROWS)
    name = f"OAM-{FIRST_X + column}-{FIRST_Y + row}-{ZOOM}.tif"
    return RemoteFile(f"{_FOLDER}/{name}", (f"{_REPOSITORY}oam/{name}",), size, sha256=sha256)


# By (row, column); JPEG files, whatever their names say
TILES = {(index % ROWS, index // ROWS): _tile(index, *facts) for index, facts in enumerate(_TILES)}
