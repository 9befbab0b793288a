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

base::SigningKey some_key() {
    base::Key seed{};
    seed.fill(0x42);
    return base::SigningKey{seed};
}

KeyFile sealed(std::string_view passphrase) {
    SeededRng rng;
    return *KeyFile::seal(some_key(), passphrase, rng, kCheap);
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
    EXPECT_EQ(decoded->open("correct horse")->seed(), some_key().seed());
}

TEST(KeyFile, WithoutPassphraseOpensWithAny) {
    const auto file = sealed("");
    EXPECT_FALSE(file.has_passphrase());
    EXPECT_EQ(file.open("")->seed(), some_key().seed());
    EXPECT_EQ(file.open("whatever")->seed(), some_key().seed());
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
    const auto check = [&](const std::string& name, std::string_view passphrase) {
        const std::filesystem::path path = std::filesystem::path{PELAGO_GOLDEN_DIR} / name;
        const std::string text = KeyFile::seal(some_key(), passphrase, rng, kCheap)->encode();
        if (std::getenv("PELAGO_WRITE_GOLDEN") != nullptr) std::ofstream{path} << text;
        std::ifstream in{path};
        const std::string golden{std::istreambuf_iterator<char>{in}, {}};
        EXPECT_EQ(golden, text) << path;
        const auto file = KeyFile::decode(base::as_bytes(golden));
        ASSERT_TRUE(file) << path;
        EXPECT_EQ(file->open(passphrase)->seed(), some_key().seed());
    };
    check("keyfile_plain.key", "");
    check("keyfile_scrypt.key", "correct horse");
}

TEST(KeyFile, NeverHoldsTheSeedInTheOpen) {
    const std::string text = sealed("right").encode();
    EXPECT_EQ(text.find(to_base64(some_key().seed()).substr(2, 30)), std::string::npos);
}

TEST(KeyFile, CostsBeyondTheLimitsAreRefusedBeforeAnyMemoryIsTaken) {
    const KeyFile file = sealed("right");
    const std::map<std::size_t, std::uint8_t> excesses{{2, 40}, {2, 21}, {3, 255}, {4, 200}, {3, 0}, {4, 0}};
    for (const auto& [offset, value] : excesses) {
        EXPECT_EQ(KeyFile::decode(base::as_bytes(patched(file, offset, value))).error(), base::Errc::bad_format);
    }
}

TEST(KeyFile, ALaterVersionIsLeftAlone) {
    EXPECT_EQ(KeyFile::decode(base::as_bytes(patched(sealed(""), 0, 2))).error(), base::Errc::unsupported);
}

TEST(KeyFile, EveryDamagedByteIsFoundByTheChecksum) {
    const KeyFile file = sealed("right");
    for (std::size_t offset = 0; offset < 149; ++offset) {
        const auto decoded = KeyFile::decode(base::as_bytes(patched(file, offset, 0xee, false)));
        if (decoded && *decoded == file) continue;
        ASSERT_FALSE(decoded) << offset;
        EXPECT_EQ(decoded.error(), base::Errc::corrupt) << offset << ": the version too";
    }
}

TEST(KeyFile, EveryForgedByteIsFoundByTheSeal) {
    const KeyFile file = sealed("right");
    for (std::size_t offset = 5; offset < 149; offset += 3) {
        const auto decoded = KeyFile::decode(base::as_bytes(patched(file, offset, 0xee)));
        if (decoded && *decoded == file) continue;
        EXPECT_FALSE(decoded && decoded->open("right")) << offset;
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
