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
constexpr std::uint64_t kMostWork = (std::uint64_t{1} << 20U) * 8 * 4;  // N r p: what a single slot may ask for at most

base::Error malformed(std::string why) { return {base::Errc::bad_format, "the key file " + std::move(why)}; }

/// What a slot's keys are bound to: whose key it is, and all of the slot that is not made with them.
base::Bytes bound(const base::PublicKey& owner, const KeySlot& slot) {
    base::Writer out;
    out.u8(kVersion).raw(owner);
    out.u8(static_cast<std::uint8_t>(slot.kdf)).u8(slot.cost.log2_n).u8(slot.cost.r).u8(slot.cost.p);
    out.raw(slot.salt).i64(slot.label.created_ns);
    out.u8(static_cast<std::uint8_t>(slot.label.text.size())).raw(base::as_bytes(slot.label.text));
    return out.take();
}

/// What the seal covers besides the seed.
base::Bytes associated(const base::PublicKey& owner, const KeySlot& slot) {
    base::Writer out;
    out.raw(bound(owner, slot)).raw(slot.commitment);
    return out.take();
}

struct WrappingKeys {
    base::Key commitment{};
    base::Key seal{};
    ~WrappingKeys() { base::wipe(seal); }
};

base::Result<WrappingKeys> wrapping_keys(const base::PublicKey& owner, const KeySlot& slot,
                                         std::string_view passphrase) {
    base::Key stretched{};
    if (slot.kdf == KeySlot::Kdf::scrypt) {
        BASE_TRY(stretched, base::stretch_passphrase(passphrase, slot.salt, slot.cost));
    } else {
        stretched = base::derive_key({}, "pelago key file without passphrase", slot.salt);
    }
    const base::Bytes context = bound(owner, slot);
    WrappingKeys keys;
    keys.commitment = base::derive_key(stretched, "pelago key file commitment", context);
    keys.seal = base::derive_key(stretched, "pelago key file seal", context);
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

base::Result<void> check_cost(const KeySlot& slot) {
    const auto [log2_n, r, p] = slot.cost;
    if (slot.kdf == KeySlot::Kdf::none) {
        if (log2_n != 0 || r != 0 || p != 0) return malformed("has costs without a passphrase");
        return base::ok();
    }
    if (log2_n < 10 || log2_n > 20 || r < 1 || r > 8 || p < 1 || p > 4) {
        return malformed("asks for more work than is allowed (N = 2^" + std::to_string(log2_n) +
                         ", r = " + std::to_string(r) + ", p = " + std::to_string(p) + ")");
    }
    return base::ok();
}

std::uint64_t work_of(const KeySlot& slot) {
    return (std::uint64_t{1} << slot.cost.log2_n) * slot.cost.r * slot.cost.p;
}

/// All of them together: whoever has a wrong passphrase has to try each.
base::Result<void> check_slots(const std::vector<KeySlot>& slots) {
    std::uint64_t work = 0;
    for (const auto& slot : slots) {
        BASE_CHECK(check_cost(slot));
        BASE_CHECK(check_key_label(slot.label.text));
        if (slot.kdf == KeySlot::Kdf::none && slots.size() > 1) return malformed("has passphrases and needs none");
        work += work_of(slot);
        const auto same = [&](const KeySlot& other) { return other.label.text == slot.label.text; };
        if (std::ranges::count_if(slots, same) > 1) return malformed("has two passphrases of one label");
    }
    if (work > kMostWork) return malformed("asks for more work than is allowed, in all its passphrases together");
    return base::ok();
}

base::Result<KeySlot> read_slot(base::Reader& in) {
    KeySlot slot;
    const std::uint8_t kdf = in.u8();
    slot.cost.log2_n = in.u8();
    slot.cost.r = in.u8();
    slot.cost.p = in.u8();
    slot.salt = in.array<32>();
    slot.label.created_ns = in.i64();
    slot.label.text = std::string{base::as_text(in.raw(in.u8()))};
    slot.commitment = in.array<32>();
    slot.sealed_seed = in.array<48>();
    if (kdf > static_cast<std::uint8_t>(KeySlot::Kdf::scrypt))
        return malformed("names an unknown way to stretch a passphrase");
    slot.kdf = static_cast<KeySlot::Kdf>(kdf);
    return slot;
}

base::Result<KeySlot> make_slot(const base::SigningKey& key, std::string_view passphrase, KeyLabel label,
                                base::Rng& rng, base::ScryptCost cost) {
    KeySlot slot;
    if (!passphrase.empty()) {
        slot.kdf = KeySlot::Kdf::scrypt;
        slot.cost = cost;
    }
    slot.label = std::move(label);
    rng.fill(slot.salt);
    BASE_CHECK(check_slots({slot}));
    const auto owner = key.public_key();
    BASE_TRY(const WrappingKeys keys, wrapping_keys(owner, slot, passphrase));
    slot.commitment = keys.commitment;
    const base::Bytes sealed = base::seal_once(keys.seal, associated(owner, slot), key.seed());
    std::ranges::copy(sealed, slot.sealed_seed.begin());
    return slot;
}

/// Errc::wrong_key: `passphrase` is another one.
base::Result<base::SigningKey> open_slot(const base::PublicKey& owner, const KeySlot& slot,
                                         std::string_view passphrase) {
    BASE_TRY(const WrappingKeys keys, wrapping_keys(owner, slot, passphrase));
    if (!base::equal_in_constant_time(keys.commitment, slot.commitment)) return base::Errc::wrong_key;
    auto seed = base::open_once(keys.seal, associated(owner, slot), slot.sealed_seed);
    if (!seed || seed->size() != 32) return base::Error{base::Errc::corrupt, "the key file"};
    base::Key bytes{};
    std::ranges::copy(*seed, bytes.begin());
    base::wipe(*seed);
    base::SigningKey key{bytes};
    base::wipe(bytes);
    if (key.public_key() != owner) return base::Error{base::Errc::corrupt, "the key file"};
    return key;
}

}  // namespace

base::Result<void> check_key_label(std::string_view text) {
    const auto refuse = [](std::string why) { return base::Error{base::Errc::bad_argument, std::move(why)}; };
    if (text.empty()) return refuse("a passphrase has a label");
    if (text.size() > kMaxKeyLabelBytes) return refuse("the label is too long");
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::ranges::any_of(text, is_control)) return refuse("a label has no control characters");
    return base::ok();
}

std::string KeyFile::name() const { return base::to_hex(public_key).substr(0, 16); }

std::string KeyFile::encode() const {
    base::Writer body;
    body.u8(kVersion).raw(public_key).u8(static_cast<std::uint8_t>(slots.size()));
    for (const auto& slot : slots) {
        const auto part = associated(public_key, slot);
        body.raw(base::ByteView{part}.subspan(1 + public_key.size())).raw(slot.sealed_seed);
    }
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
    if (in.u8() != kVersion) return base::Error{base::Errc::unsupported, "the key file's version"};
    KeyFile file;
    file.public_key = in.array<32>();
    const std::size_t count = in.u8();
    if (count < 1 || count > kMaxKeySlots) return malformed("has no passphrase slots, or too many");
    for (std::size_t i = 0; i < count; ++i) {
        BASE_TRY(auto slot, read_slot(in));
        file.slots.push_back(std::move(slot));
    }
    if (!in.complete()) return malformed("has the wrong length");
    if (const auto checked = check_slots(file.slots); !checked) {
        return checked.error() == base::Errc::bad_format ? checked.error() : malformed("names a passphrase badly");
    }
    return file;
}

base::Result<KeyFile> KeyFile::seal(const base::SigningKey& key, std::string_view passphrase, KeyLabel label,
                                    base::Rng& rng, base::ScryptCost cost) {
    KeyFile file;
    file.public_key = key.public_key();
    BASE_TRY(auto slot, make_slot(key, passphrase, std::move(label), rng, cost));
    file.slots.push_back(std::move(slot));
    return file;
}

base::Result<void> KeyFile::put(std::optional<std::size_t> at, const base::SigningKey& key, std::string_view passphrase,
                                KeyLabel label, base::Rng& rng, base::ScryptCost cost) {
    const auto refuse = [](std::string why) { return base::Error{base::Errc::bad_argument, std::move(why)}; };
    const auto others = slots.size() - (at ? 1 : 0);
    if (!at && slots.size() >= kMaxKeySlots) return refuse("the key has as many passphrases as it can have");
    if (passphrase.empty() && others > 0) return refuse("the key has other passphrases, which 'key remove' removes");
    if (!at && !has_passphrase()) return refuse("the key has no passphrase; 'key passwd' gives it its first");
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (i != at && slots[i].label.text == label.text)
            return refuse("there is a passphrase '" + label.text + "' already");
    }
    BASE_TRY(auto slot, make_slot(key, passphrase, std::move(label), rng, cost));
    auto changed = slots;
    if (at) {
        changed.at(*at) = std::move(slot);
    } else {
        changed.push_back(std::move(slot));
    }
    BASE_CHECK(check_slots(changed));
    slots = std::move(changed);
    return base::ok();
}

base::Result<KeyFile::Opened> KeyFile::open(std::string_view passphrase) const {
    for (std::size_t i = 0; i < slots.size(); ++i) {
        auto key = open_slot(public_key, slots[i], passphrase);
        if (key) return Opened{std::move(*key), i};
        if (!(key.error() == base::Errc::wrong_key)) return key.error();
    }
    if (has_passphrase()) return base::Errc::wrong_key;
    return base::Error{base::Errc::corrupt, "the key file"};
}

}  // namespace tools
