#include "keys/key_file.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/base64.hpp"

namespace tools {
namespace {

class SeededRng final : public base::Rng {
  public:
    void fill(std::span<std::uint8_t> out) override {
        for (auto& byte : out) byte = static_cast<std::uint8_t>(engine_());
    }

  private:
    std::mt19937_64 engine_{7};
};

constexpr base::ScryptCost kCheap{10, 1, 1};
constexpr std::size_t kSealedBytes = 162;  // of the body of sealed(), without its checksum

base::SigningKey some_key() {
    base::Key seed{};
    seed.fill(0x42);
    return base::SigningKey{seed};
}

KeyLabel label(std::string text) { return {std::move(text), 1'700'000'000'000'000'000}; }

/// Of three passphrases: "one", "two", "three".
KeyFile with_three(base::Rng& rng) {
    auto file = *KeyFile::seal(some_key(), "one", label("ann"), rng, kCheap);
    EXPECT_TRUE(file.put(std::nullopt, some_key(), "two", label("bob"), rng, kCheap));
    EXPECT_TRUE(file.put(std::nullopt, some_key(), "three", label("backup service"), rng, kCheap));
    return file;
}

KeyFile sealed(std::string_view passphrase) {
    SeededRng rng;
    return *KeyFile::seal(some_key(), passphrase, label("ann"), rng, kCheap);
}

/// The file with byte `offset` of its body changed, and its checksum made right again.
std::string patched(const KeyFile& file, std::size_t offset, std::uint8_t value, bool fix_checksum = true) {
    const std::string text = file.encode();
    std::string inside;
    for (std::size_t at = text.find('\n') + 1; text[at] != '-'; ++at) {
        if (text[at] != '\n') inside.push_back(text[at]);
    }
    base::Bytes body = *from_base64(inside);
    body.at(offset) = value;
    if (fix_checksum) {
        const auto crc = base::crc32c(base::ByteView{body}.first(body.size() - 4));
        for (std::size_t i = 0; i < 4; ++i) body[body.size() - 4 + i] = static_cast<std::uint8_t>(crc >> (8 * i));
    }
    return "-----BEGIN PELAGO OWNER KEY-----\n" + to_base64(body) + "\n-----END PELAGO OWNER KEY-----\n";
}

TEST(KeyFile, ComesBackWithItsPassphrase) {
    const auto decoded = KeyFile::decode(base::as_bytes(sealed("correct horse").encode()));
    ASSERT_TRUE(decoded);
    EXPECT_TRUE(decoded->has_passphrase());
    EXPECT_EQ(decoded->open("correct horse")->key.seed(), some_key().seed());
}

TEST(KeyFile, WithoutPassphraseOpensWithAny) {
    const auto file = sealed("");
    EXPECT_FALSE(file.has_passphrase());
    EXPECT_EQ(file.open("")->key.seed(), some_key().seed());
    EXPECT_EQ(file.open("whatever")->key.seed(), some_key().seed());
}

TEST(KeyFile, AnotherPassphraseIsAWrongKeyAndNothingElse) {
    EXPECT_EQ(sealed("right").open("wrong").error(), base::Errc::wrong_key);
}

/// 0, 1, 2, ...
class CountingRng final : public base::Rng {
  public:
    void fill(std::span<std::uint8_t> out) override { std::iota(out.begin(), out.end(), std::uint8_t{0}); }
};

// docs/formats/keyfile.md, version 1: bytes that were written once must open for ever. PELAGO_WRITE_GOLDEN=1 writes
// them.
TEST(KeyFile, TheFirstFormatStaysReadable) {
    CountingRng rng;
    const auto check = [&](const std::string& name, const KeyFile& made, std::string_view passphrase) {
        const std::filesystem::path path = std::filesystem::path{PELAGO_GOLDEN_DIR} / name;
        const std::string text = made.encode();
        if (std::getenv("PELAGO_WRITE_GOLDEN") != nullptr) std::ofstream{path} << text;
        std::ifstream in{path};
        const std::string golden{std::istreambuf_iterator<char>{in}, {}};
        EXPECT_EQ(golden, text) << path;
        const auto file = KeyFile::decode(base::as_bytes(golden));
        ASSERT_TRUE(file) << path;
        EXPECT_EQ(file->open(passphrase)->key.seed(), some_key().seed());
    };
    const auto one = [&](std::string_view passphrase) {
        return *KeyFile::seal(some_key(), passphrase, label("ann"), rng, kCheap);
    };
    check("keyfile_plain.key", one(""), "");
    check("keyfile_scrypt.key", one("correct horse"), "correct horse");
    check("keyfile_three.key", with_three(rng), "three");
}

TEST(KeyFile, NeverHoldsTheSeedInTheOpen) {
    const std::string text = sealed("right").encode();
    EXPECT_EQ(text.find(to_base64(some_key().seed()).substr(2, 30)), std::string::npos);
}

TEST(KeyFile, CostsBeyondTheLimitsAreRefusedBeforeAnyMemoryIsTaken) {
    const KeyFile file = sealed("right");
    // Offsets 35 to 37: N, r and p of the first slot.
    const std::multimap<std::size_t, std::uint8_t> excesses{{35, 40}, {35, 21}, {36, 255}, {37, 200}, {36, 0}, {37, 0}};
    for (const auto& [offset, value] : excesses) {
        EXPECT_EQ(KeyFile::decode(base::as_bytes(patched(file, offset, value))).error(), base::Errc::bad_format);
    }
}

TEST(KeyFile, ALaterVersionIsLeftAlone) {
    EXPECT_EQ(KeyFile::decode(base::as_bytes(patched(sealed(""), 0, 2))).error(), base::Errc::unsupported);
}

TEST(KeyFile, EveryDamagedByteIsFoundByTheChecksum) {
    const KeyFile file = sealed("right");
    for (std::size_t offset = 0; offset < kSealedBytes; ++offset) {
        const auto decoded = KeyFile::decode(base::as_bytes(patched(file, offset, 0xee, false)));
        if (decoded && *decoded == file) continue;
        ASSERT_FALSE(decoded) << offset;
        EXPECT_EQ(decoded.error(), base::Errc::corrupt) << offset << ": the version too";
    }
}

TEST(KeyFile, EveryForgedByteIsFoundByTheSeal) {
    const KeyFile file = sealed("right");
    for (std::size_t offset = 1; offset < kSealedBytes; offset += 3) {
        const auto decoded = KeyFile::decode(base::as_bytes(patched(file, offset, 0xee)));
        if (decoded && *decoded == file) continue;
        EXPECT_FALSE(decoded && decoded->open("right")) << offset;
    }
}

TEST(KeyFile, EachOfItsPassphrasesOpensIt) {
    SeededRng rng;
    const auto file = KeyFile::decode(base::as_bytes(with_three(rng).encode())).value();
    std::size_t slot = 0;
    for (const auto* passphrase : {"one", "two", "three"}) {
        const auto opened = file.open(passphrase);
        ASSERT_TRUE(opened) << passphrase;
        EXPECT_EQ(opened->key.seed(), some_key().seed());
        EXPECT_EQ(opened->slot, slot++);
    }
    EXPECT_EQ(file.open("four").error(), base::Errc::wrong_key);
    EXPECT_EQ(file.slots[2].label, label("backup service"));
}

TEST(KeyFile, ASlotThatIsReplacedOpensWithItsNewPassphraseOnly) {
    SeededRng rng;
    auto file = with_three(rng);
    ASSERT_TRUE(file.put(1, some_key(), "new", label("bob"), rng, kCheap));
    EXPECT_EQ(file.open("new")->slot, 1U);
    EXPECT_EQ(file.open("two").error(), base::Errc::wrong_key);
    EXPECT_TRUE(file.open("three"));
}

TEST(KeyFile, HasEightSlotsAtMostEachUnderALabelOfItsOwn) {
    SeededRng rng;
    auto file = with_three(rng);
    const auto add = [&](const std::string& passphrase, const std::string& text) {
        return file.put(std::nullopt, some_key(), passphrase, label(text), rng, kCheap);
    };
    EXPECT_EQ(add("x", "bob").error(), base::Errc::bad_argument);
    EXPECT_EQ(add("x", "").error(), base::Errc::bad_argument);
    EXPECT_EQ(add("x", "a\nb").error(), base::Errc::bad_argument);
    EXPECT_EQ(add("x", std::string(65, 'l')).error(), base::Errc::bad_argument);
    EXPECT_EQ(add("", "open").error(), base::Errc::bad_argument) << "no passphrase beside others";
    for (int i = 3; i < 8; ++i) EXPECT_TRUE(add("x", std::string(64, static_cast<char>('a' + i))));
    EXPECT_EQ(add("x", "ninth").error(), base::Errc::bad_argument);
    EXPECT_LE(file.encode().size(), kMaxKeyFileBytes);
    EXPECT_EQ(KeyFile::decode(base::as_bytes(file.encode())).value(), file);
    auto open = sealed("");
    EXPECT_EQ(open.put(std::nullopt, some_key(), "x", label("x"), rng, kCheap).error(), base::Errc::bad_argument);
}

TEST(KeyFile, AllSlotsTogetherMayAskForNoMoreWorkThanOneAlone) {
    SeededRng rng;
    auto file = with_three(rng);
    file.slots[0].cost = {20, 8, 4};
    EXPECT_EQ(KeyFile::decode(base::as_bytes(file.encode())).error(), base::Errc::bad_format);
    file.slots.resize(1);
    EXPECT_TRUE(KeyFile::decode(base::as_bytes(file.encode())));
    file = with_three(rng);
    file.slots[1].label = file.slots[0].label;
    EXPECT_EQ(KeyFile::decode(base::as_bytes(file.encode())).error(), base::Errc::bad_format);
    for (const std::size_t count : {0U, 9U}) {
        file.slots.resize(count, file.slots.empty() ? KeySlot{} : file.slots.front());
        EXPECT_EQ(KeyFile::decode(base::as_bytes(file.encode())).error(), base::Errc::bad_format) << count;
    }
}

TEST(KeyFile, IsReadAsAPersonTypesIt) {
    std::string typed;
    for (const char c : sealed("").encode()) typed += c == '\n' ? std::string{"  \r\n\r\n"} : std::string(1, c);
    EXPECT_TRUE(KeyFile::decode(base::as_bytes(typed)));
}

TEST(KeyFile, OtherTextIsRefused) {
    const std::string good = sealed("").encode();
    for (const std::string& bad : {std::string{}, std::string{"hello"}, good.substr(0, good.size() / 2), "x\n" + good,
                                   good + good, std::string(5000, 'A'), good.substr(0, 40) + "!" + good.substr(41)}) {
        EXPECT_FALSE(KeyFile::decode(base::as_bytes(bad))) << bad;
    }
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
    const std::map<std::string, std::string> vectors{{"", ""},
                                                     {"f", "Zg=="},
                                                     {"fo", "Zm8="},
                                                     {"foo", "Zm9v"},
                                                     {"foob", "Zm9vYg=="},
                                                     {"fooba", "Zm9vYmE="},
                                                     {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : vectors) {
        EXPECT_EQ(to_base64(base::as_bytes(plain)), encoded);
        EXPECT_EQ(from_base64(encoded), base::to_bytes(plain));
    }
    for (const auto* bad : {"Z", "Zg=", "Zh==", "Zg==Zg==", "Z===", "Zm9 ", "===="})
        EXPECT_FALSE(from_base64(bad)) << bad;
}

}  // namespace
}  // namespace tools
