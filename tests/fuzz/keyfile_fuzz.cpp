#include <cstdint>
#include <cstdlib>

#include "base/codec.hpp"
#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/base64.hpp"
#include "cli/text.hpp"
#include "config/settings.hpp"
#include "keys/key_file.hpp"
#include "session/lone_identity.hpp"
#include "volume/known_names.hpp"

namespace {

void check_key_file(base::ByteView input) {
    const auto file = tools::KeyFile::decode(input);
    if (!file) return;
    const std::string text = file->encode();
    const auto again = tools::KeyFile::decode(base::as_bytes(text));
    if (!again || again->encode() != text) std::abort();
    if (!file->has_passphrase()) (void)file->open("");  // with one, scrypt would be all that is measured
}

void check_identity(base::ByteView input) {
    const auto identity = tools::decode_lone_identity(input);
    if (!identity) return;
    const auto again = tools::encode_lone_identity(*identity);
    if (!std::equal(again.begin(), again.end(), input.begin(), input.end())) std::abort();
}

base::Bytes with_checksum(base::ByteView input) {
    base::Writer out;
    out.raw(input).u32(base::crc32c(input));
    return out.take();
}

/// A key file of which this is the body: else nothing would ever get behind base64 and checksum.
std::string as_key_file(base::ByteView body) {
    return "-----BEGIN PELAGO OWNER KEY-----\n" + tools::to_base64(with_checksum(body)) +
           "\n-----END PELAGO OWNER KEY-----\n";
}

/// Every text that a person types: no crash, and what is shown holds no control character.
void check_texts(std::string_view text) {
    (void)tools::parse_size(text);
    (void)tools::parse_duration(text);
    (void)tools::parse_time(text);
    (void)tools::parse_settings(text, "fuzz");
    for (const auto& name : tools::parse_names(base::as_bytes(text))) {
        if (!tools::check_volume_name(name)) std::abort();
    }
    for (const char c : tools::printable(text)) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView input{data, size};
    check_key_file(input);
    check_key_file(base::as_bytes(as_key_file(input)));
    check_identity(input);
    check_identity(with_checksum(input));  // else nothing would ever get behind it
    if (size <= 4096) check_texts(base::as_text(input));
    return 0;
}
