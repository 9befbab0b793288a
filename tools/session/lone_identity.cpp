#include "session/lone_identity.hpp"

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"

namespace tools {

namespace {

constexpr std::string_view kMagic = "PLN1";
constexpr std::string_view kFile = "lone.id";
constexpr std::size_t kLimit = 1024;

}  // namespace

base::Bytes encode_lone_identity(const LoneIdentity& identity) {
    base::Writer out;
    out.raw(base::as_bytes(kMagic)).raw(identity.key.seed()).raw(identity.salt);
    out.u32(base::crc32c(out.view()));
    return out.take();
}

base::Result<LoneIdentity> decode_lone_identity(base::ByteView bytes) {
    if (!base::ends_with_crc32c(bytes)) return base::Errc::corrupt;
    base::Reader in{bytes.first(bytes.size() - 4)};
    const auto magic = base::as_text(in.raw(kMagic.size()));
    if (magic != kMagic) return magic.starts_with("PLN") ? base::Errc::unsupported : base::Errc::bad_format;
    const auto seed = in.array<32>();
    const auto salt = in.array<32>();
    if (!in.complete()) return base::Errc::bad_format;
    return LoneIdentity{base::SigningKey{seed}, salt};
}

base::Result<std::optional<LoneIdentity>> read_lone_identity(base::Disk& disk) {
    const auto bytes = base::read_file(disk, kFile, kLimit);
    if (!bytes && bytes.error() == base::Errc::not_found) return std::optional<LoneIdentity>{};
    if (!bytes && !(bytes.error() == base::Errc::bad_format)) return bytes.error().with(kFile);
    auto identity = bytes ? decode_lone_identity(*bytes) : base::Result<LoneIdentity>{bytes.error()};
    if (identity) return std::optional<LoneIdentity>{std::move(*identity)};
    const bool later = identity.error() == base::Errc::unsupported;
    return base::Error{later ? base::Errc::unsupported : base::Errc::corrupt,
                       "the node's identity node/" + std::string{kFile}};
}

base::Result<void> write_lone_identity(base::Disk& disk, const LoneIdentity& identity) {
    return base::replace_file(disk, kFile, encode_lone_identity(identity));
}

LoneIdentity draw_lone_identity(base::Rng& rng) { return {base::SigningKey{rng.secret()}, rng.secret()}; }

base::Result<LoneIdentity> lone_identity(base::Disk& disk, base::Rng& rng) {
    BASE_TRY(auto present, read_lone_identity(disk));
    if (present) return std::move(*present);
    auto drawn = draw_lone_identity(rng);
    BASE_CHECK(write_lone_identity(disk, drawn));
    return drawn;
}

}  // namespace tools
