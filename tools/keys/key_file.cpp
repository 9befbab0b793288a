#include "keys/key_file.hpp"

#include <algorithm>

#include "base/byte_order_mark.hpp"
#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/base64.hpp"

namespace tools {

namespace {

constexpr std::string_view kBegin = "-----BEGIN PELAGO OWNER KEY-----";
constexpr std::string_view kEnd = "-----END PELAGO OWNER KEY-----";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kLineCharacters = 64;

base::Error malformed(std::string why) { return {base::Errc::bad_format, "the key file " + std::move(why)}; }

/// Bytes 0 to 68: what the keys are bound to.
base::Bytes header(const KeyFile& file) {
    base::Writer out;
    out.u8(kVersion).u8(static_cast<std::uint8_t>(file.kdf));
    out.u8(file.cost.log2_n).u8(file.cost.r).u8(file.cost.p);
    out.raw(file.salt).raw(file.public_key);
    return out.take();
}

/// Bytes 0 to 100: what the seal covers besides the seed.
base::Bytes associated(const KeyFile& file) {
    base::Writer out;
    out.raw(header(file)).raw(file.commitment);
    return out.take();
}

struct WrappingKeys {
    base::Key commitment{};
    base::Key seal{};
    ~WrappingKeys() { base::wipe(seal); }
};

base::Result<WrappingKeys> wrapping_keys(const KeyFile& file, std::string_view passphrase) {
    base::Key stretched{};
    if (file.has_passphrase()) {
        BASE_TRY(stretched, base::stretch_passphrase(passphrase, file.salt, file.cost));
    } else {
        stretched = base::derive_key({}, "pelago key file without passphrase", file.salt);
    }
    const base::Bytes bound = header(file);
    WrappingKeys keys;
    keys.commitment = base::derive_key(stretched, "pelago key file commitment", bound);
    keys.seal = base::derive_key(stretched, "pelago key file seal", bound);
    base::wipe(stretched);
    return keys;
}

/// The base64 between the marks, in one piece.
base::Result<std::string> unwrap_text(std::string_view text) {
    text = base::without_byte_order_mark(text);
    std::string inside;
    enum class Where { before, within, after } where = Where::before;
    while (!text.empty()) {
        const auto end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t'))
            line.remove_suffix(1);
        while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
        if (line.empty()) continue;
        if (where == Where::before && line == kBegin) {
            where = Where::within;
        } else if (where == Where::within && line == kEnd) {
            where = Where::after;
        } else if (where == Where::within) {
            inside += line;
        } else if (where == Where::before && text.empty() && kBegin.starts_with(line)) {
            return base::Error{base::Errc::corrupt, "the key file"};  // cut short
        } else {
            return malformed("does not hold an owner key");
        }
    }
    if (where == Where::within) return base::Error{base::Errc::corrupt, "the key file"};  // cut short
    if (where != Where::after) return malformed("is empty");
    return inside;
}

base::Result<void> check_cost(const KeyFile& file) {
    const auto [log2_n, r, p] = file.cost;
    if (!file.has_passphrase()) {
        if (log2_n != 0 || r != 0 || p != 0) return malformed("has costs without a passphrase");
        return base::ok();
    }
    if (log2_n < 10 || log2_n > 20 || r < 1 || r > 8 || p < 1 || p > 4) {
        return malformed("asks for more work than is allowed (N = 2^" + std::to_string(log2_n) +
                         ", r = " + std::to_string(r) + ", p = " + std::to_string(p) + ")");
    }
    return base::ok();
}

}  // namespace

std::string KeyFile::name() const { return base::to_hex(public_key).substr(0, 16); }

std::string KeyFile::encode() const {
    base::Writer body;
    body.raw(associated(*this)).raw(sealed_seed);
    body.u32(base::crc32c(body.view()));
    const std::string text = to_base64(body.view());
    std::string out{kBegin};
    for (std::size_t i = 0; i < text.size(); i += kLineCharacters) out += "\n" + text.substr(i, kLineCharacters);
    return out + "\n" + std::string{kEnd} + "\n";
}

base::Result<KeyFile> KeyFile::decode(base::ByteView text) {
    if (text.size() > kMaxKeyFileBytes) return malformed("is too long");
    BASE_TRY(const std::string inside, unwrap_text(base::as_text(text)));
    const auto body = from_base64(inside);
    if (!body || !base::ends_with_crc32c(*body)) return base::Error{base::Errc::corrupt, "the key file"};
    base::Reader in{base::ByteView{*body}.first(body->size() - 4)};
    KeyFile file;
    if (in.u8() != kVersion) return base::Error{base::Errc::unsupported, "the key file's version"};
    const std::uint8_t kdf = in.u8();
    file.cost.log2_n = in.u8();
    file.cost.r = in.u8();
    file.cost.p = in.u8();
    file.salt = in.array<32>();
    file.public_key = in.array<32>();
    file.commitment = in.array<32>();
    file.sealed_seed = in.array<48>();
    if (!in.complete()) return malformed("has the wrong length");
    if (kdf > static_cast<std::uint8_t>(Kdf::scrypt)) return malformed("names an unknown way to stretch a passphrase");
    file.kdf = static_cast<Kdf>(kdf);
    BASE_CHECK(check_cost(file));
    return file;
}

base::Result<KeyFile> KeyFile::seal(const base::SigningKey& key, std::string_view passphrase, base::Rng& rng,
                                    base::ScryptCost cost) {
    KeyFile file;
    if (!passphrase.empty()) {
        file.kdf = Kdf::scrypt;
        file.cost = cost;
    }
    BASE_CHECK(check_cost(file));
    rng.fill(file.salt);
    file.public_key = key.public_key();
    BASE_TRY(const WrappingKeys keys, wrapping_keys(file, passphrase));
    file.commitment = keys.commitment;
    const base::Bytes sealed = base::seal_once(keys.seal, associated(file), key.seed());
    std::ranges::copy(sealed, file.sealed_seed.begin());
    return file;
}

base::Result<base::SigningKey> KeyFile::open(std::string_view passphrase) const {
    BASE_TRY(const WrappingKeys keys, wrapping_keys(*this, passphrase));
    if (!base::equal_in_constant_time(keys.commitment, commitment)) {
        if (has_passphrase()) return base::Errc::wrong_key;
        return base::Error{base::Errc::corrupt, "the key file"};
    }
    auto seed = base::open_once(keys.seal, associated(*this), sealed_seed);
    if (!seed || seed->size() != 32) return base::Error{base::Errc::corrupt, "the key file"};
    base::Key bytes{};
    std::ranges::copy(*seed, bytes.begin());
    base::wipe(*seed);
    base::SigningKey key{bytes};
    base::wipe(bytes);
    if (key.public_key() != public_key) return base::Error{base::Errc::corrupt, "the key file"};
    return key;
}

}  // namespace tools
