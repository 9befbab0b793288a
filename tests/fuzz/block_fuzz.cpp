// Sealed blocks from holders that lie, and what a writer with the keys may have put inside them.
#include <cstdlib>

#include "../../objstore/src/block/compression.hpp"
#include "base/codec.hpp"
#include "base/crypto.hpp"
#include "objstore/block.hpp"

namespace {

using namespace objstore;

/// A reference that makes no difficulties: the bytes are what is tried.
BlockRef reference_to(base::ByteView bytes) {
    BlockRef ref;
    ref.id = base::sha256(bytes);
    ref.sealed_bytes = static_cast<std::uint32_t>(bytes.size());
    if (bytes.size() > 5) ref.type = static_cast<BlockType>(bytes[5]);
    ref.ref_key.fill(1);
    ref.body_key.fill(2);
    return ref;
}

void open_as_foreign(base::ByteView input) {
    const auto ref = reference_to(input);
    if (open_block(ref, base::Guid{}, input)) std::abort();  // nobody can make a section that opens
    (void)open_references(ref, base::Guid{}, input);
    (void)BlockHeader::decode(input);
}

/// The inside: sections with the right keys around arbitrary plaintext.
void open_as_writer(base::ByteView input) {
    if (input.size() < 2) return;
    const auto type = static_cast<BlockType>(1 + input[0] % 4);
    const bool with_references = (input[0] & 0x80U) != 0;
    const std::size_t split = with_references ? std::min<std::size_t>(input[1], input.size() - 2) : 0;
    const auto references = input.subspan(2, split);
    const auto body = input.subspan(2 + split);
    base::Writer associated;
    associated.u8(static_cast<std::uint8_t>(type)).u8(1).guid(base::Guid{});
    BlockRef ref;
    ref.type = type;
    ref.body_key.fill(2);
    base::Bytes sealed{'P', 'L', 'B', '1', 1, static_cast<std::uint8_t>(type), 0, 0};
    const auto length = [&](std::size_t value) {
        for (unsigned i = 0; i < 4; ++i) sealed.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    };
    length(with_references ? references.size() + base::kSealOverhead : 0);
    length(body.size() + base::kSealOverhead);
    if (with_references) {
        ref.ref_key.fill(1);
        auto aad = base::to_bytes("ref");
        aad.insert(aad.end(), associated.view().begin(), associated.view().end());
        base::seal_once_to(sealed, ref.ref_key, aad, references);
    }
    auto aad = base::to_bytes("body");
    aad.insert(aad.end(), associated.view().begin(), associated.view().end());
    const auto hash = base::sha256(base::ByteView{sealed}.subspan(kBlockHeaderBytes));
    aad.insert(aad.end(), hash.bytes().begin(), hash.bytes().end());
    base::seal_once_to(sealed, ref.body_key, aad, body);
    ref.id = base::sha256(sealed);
    ref.sealed_bytes = static_cast<std::uint32_t>(sealed.size());
    const auto opened = open_block(ref, base::Guid{}, sealed);
    if (opened && opened->packed.size() + opened->raw.size() > max_content_bytes(type)) std::abort();
    const auto children = open_references(ref, base::Guid{}, sealed);
    if (opened && (!children || children->size() != opened->children.size())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const base::ByteView input{data, size};
    open_as_foreign(input);
    open_as_writer(input);
    constexpr std::size_t kLimit = 1U << 16U;
    if (const auto content = decompress(input, kLimit); content && content->size() > kLimit) std::abort();
    return 0;
}
