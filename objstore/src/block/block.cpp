#include "objstore/block.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/codec.hpp"
#include "base/crypto.hpp"
#include "base/error.hpp"
#include "block/compression.hpp"
#include "block/varint.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr std::array<std::uint8_t, 4> kMagic{'P', 'L', 'B', '1'};
constexpr std::uint8_t kStored = 0;
constexpr std::uint8_t kZstd = 1;
constexpr std::uint8_t kHasRefKey = 0x80;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kShortestChild = 32 + 4 + 1 + 1;

/// What both sections of a block are bound to. With k an id belongs to one place, whatever is sealed again later.
struct Binding {
    BlockType type;
    std::uint8_t group_bits;
    const base::Guid& volume_tag;
};

base::Bytes associated_data(std::string_view section, const Binding& binding, const base::Guid* references_hash) {
    base::Writer out;
    out.raw(base::as_bytes(section)).u8(static_cast<std::uint8_t>(binding.type)).u8(kFormat);
    out.u8(binding.group_bits).guid(binding.volume_tag);
    if (references_hash != nullptr) out.guid(*references_hash);
    return out.take();
}

base::Bytes references_associated(const Binding& binding) { return associated_data("ref", binding, nullptr); }

base::Bytes body_associated(const Binding& binding, base::ByteView sealed_references) {
    const auto hash = base::sha256(sealed_references);
    return associated_data("body", binding, &hash);
}

base::Bytes encode_references(std::span<const BlockRefPtr> children) {
    base::Writer out;
    out.varint(children.size());
    for (const auto& child : children) {
        const bool with_key = child->has_references();
        out.guid(child->id).u32(child->sealed_bytes);
        out.u8(static_cast<std::uint8_t>(static_cast<std::uint8_t>(child->type) | (with_key ? kHasRefKey : 0U)));
        out.u8(child->group_bits);
        if (with_key) out.raw(child->ref_key);
    }
    return out.take();
}

std::optional<std::vector<BlockRef>> decode_references(base::ByteView plaintext) {
    base::Reader in{plaintext};
    const auto count = in.varint();
    if (!in.fits(count, kShortestChild) || count == 0) return std::nullopt;
    std::vector<BlockRef> children(static_cast<std::size_t>(count));
    for (auto& child : children) {
        child.id = in.guid();
        child.sealed_bytes = in.u32();
        const auto type = in.u8();
        child.type = static_cast<BlockType>(type & ~kHasRefKey);
        child.group_bits = in.u8();
        if ((type & kHasRefKey) != 0) {
            child.ref_key = in.array<kKeyBytes>();
            if (!child.has_references()) return std::nullopt;
        }
        if (child.group_bits < kMinGroupBits || child.group_bits > kMaxGroupBits) return std::nullopt;
        if (child.sealed_bytes > base::kMaxBlockBytes) return std::nullopt;
    }
    if (!in.complete()) return std::nullopt;
    return children;
}

// Encoding, raw part, packed part: what K_body is taken of. The view is of this thread's own buffer and holds until the
// next call: a megabyte less to take from the system and give back for every block.
base::ByteView encode_body(std::span<const BlockRefPtr> children, const BlockContent& content, int level) {
    const auto raw_bytes = children.size() * kKeyBytes + content.raw.size();
    thread_local base::Bytes body;
    body.clear();
    body.reserve(16 + raw_bytes + 4 * children.size() + content.packed.size());
    body.push_back(kStored);
    put_varint(body, raw_bytes);
    for (const auto& child : children) body.insert(body.end(), child->body_key.begin(), child->body_key.end());
    body.insert(body.end(), content.raw.begin(), content.raw.end());

    auto packed = content.packed;
    base::Bytes joined;  // only inner blocks pay for this copy
    if (!children.empty()) {
        joined.reserve(2 * children.size() + packed.size() + 16);
        std::uint64_t before = 0;
        for (const auto& child : children)
            put_varint(joined, zigzag(child->key_epoch, std::exchange(before, child->key_epoch)));
        before = 0;
        for (const auto& child : children)
            put_varint(joined, zigzag(child->birth, std::exchange(before, child->birth)));
        joined.insert(joined.end(), packed.begin(), packed.end());
        packed = joined;
    }
    if (compress_to(body, packed, level)) {
        body.front() = kZstd;
    } else {
        body.insert(body.end(), packed.begin(), packed.end());
    }
    return body;
}

base::Key section_key(const base::Key& dedup_key, base::ByteView associated, base::ByteView plaintext) {
    return base::hmac_sha256(dedup_key, {associated, plaintext});
}

base::Error damaged(const BlockRef& ref, std::string_view what) {
    return base::Error{Errc::damaged, "block " + ref.id.hex() + ": " + std::string{what}};
}

// Header and references of a block that must be the one `ref` describes.
struct Sections {
    base::ByteView references;
    base::ByteView body;
};
base::Result<Sections> split(const BlockRef& ref, base::ByteView bytes) {
    auto header = BlockHeader::decode(bytes);
    if (!header) {
        if (header.error() == base::Errc::unsupported) return header.error().with("block " + ref.id.hex());
        return damaged(ref, header.error().detail());
    }
    if (bytes.size() != ref.sealed_bytes) return damaged(ref, "another length than its parent says");
    if (header->type != ref.type) return damaged(ref, "another type than its parent says");
    if (ref.has_references() != (header->references_bytes != 0)) return damaged(ref, "references its parent denies");
    Sections out;
    out.references = bytes.subspan(kBlockHeaderBytes, header->references_bytes);
    out.body = bytes.subspan(kBlockHeaderBytes + header->references_bytes);
    return out;
}

base::Result<std::vector<BlockRef>> open_children(const BlockRef& ref, const base::Guid& volume_tag,
                                                  base::ByteView sealed_references) {
    if (sealed_references.empty()) return std::vector<BlockRef>{};
    auto plaintext =
        base::open_once(ref.ref_key, references_associated({ref.type, ref.group_bits, volume_tag}), sealed_references);
    if (!plaintext) return damaged(ref, "its references do not open");
    auto children = decode_references(*plaintext);
    if (!children) return damaged(ref, "its references do not parse");
    return *std::move(children);
}

// Splits the opened body; gives the children what only the body tells of them.
base::Result<OpenedBlock> decode_body(const BlockRef& ref, std::vector<BlockRef> children, base::Bytes plaintext) {
    const base::SharedBytes body{std::move(plaintext)};
    Column in{body.view()};
    const auto encoding = in.u8();
    const auto raw_bytes = in.varint();
    const auto limit = max_content_bytes(ref.type);
    const auto secrets = children.size() * kKeyBytes;
    if (!in.ok() || raw_bytes > in.remaining() || raw_bytes > limit || raw_bytes < secrets) {
        return damaged(ref, "its body does not parse");
    }
    const auto raw = in.raw(static_cast<std::size_t>(raw_bytes));
    const auto packed_bytes = in.remaining();

    OpenedBlock out;
    out.type = ref.type;
    const auto raw_start = static_cast<std::size_t>(raw.data() - body.view().data());
    out.raw = body.slice(raw_start + secrets, raw.size() - secrets);
    const auto packed = body.slice(body.size() - packed_bytes, packed_bytes);
    if (encoding == kZstd) {
        auto content = decompress(packed, limit - raw.size());
        if (!content) return damaged(ref, content.error().detail());
        out.packed = std::move(*content);
    } else if (encoding == kStored) {
        if (packed_bytes > limit - raw.size()) return damaged(ref, "it is longer than its type allows");
        out.packed = packed;
    } else {
        return base::Error{base::Errc::unsupported, "block " + ref.id.hex() + ": encoding of a later version"};
    }

    Column secret{out.packed.view()};
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < children.size(); ++i) {
        std::copy_n(raw.begin() + static_cast<std::ptrdiff_t>(i * kKeyBytes), kKeyBytes, children[i].body_key.begin());
        before = unzigzag(secret.varint(), before);
        if (before > UINT32_MAX) secret.failed();
        children[i].key_epoch = static_cast<std::uint32_t>(before);
    }
    before = 0;
    for (auto& child : children) child.birth = before = unzigzag(secret.varint(), before);
    if (!secret.ok()) return damaged(ref, "its list of children does not parse");
    out.packed = out.packed.slice(out.packed.size() - secret.remaining(), secret.remaining());
    out.children.reserve(children.size());
    for (auto& child : children) out.children.push_back(std::make_shared<const BlockRef>(std::move(child)));
    return out;
}

}  // namespace

std::size_t max_content_bytes(BlockType type) {
    switch (type) {
        case BlockType::data: return std::size_t{1} << 20U;
        case BlockType::pack: return std::size_t{4} << 20U;
        case BlockType::tree_leaf: return std::size_t{1} << 20U;
        case BlockType::tree_inner: return std::size_t{1} << 20U;
    }
    return 0;
}

base::Guid group_of(const base::Guid& volume_tag, std::uint8_t group_bits, const base::Guid& id) {
    std::array<std::uint8_t, kMaxGroupBits / 8> prefix{};
    const std::size_t bytes = (group_bits + 7U) / 8U;
    std::copy_n(id.bytes().begin(), bytes, prefix.begin());
    if (group_bits % 8 != 0) prefix[bytes - 1] &= static_cast<std::uint8_t>(0xFFU << (8U - group_bits % 8U));
    const std::array<std::uint8_t, 1> k{group_bits};
    return base::sha256({base::as_bytes("pelago place"), volume_tag.view(), k, base::ByteView{prefix}.first(bytes)});
}

std::uint8_t group_bits_for(std::uint64_t volume_bytes) {
    constexpr std::uint64_t kGroupBytes = std::uint64_t{2} << 30U;
    std::uint8_t bits = kMinGroupBits;
    while (bits < kMaxGroupBits && (volume_bytes >> bits) > kGroupBytes) ++bits;
    return bits;
}

std::size_t OpenedBlock::footprint() const {
    constexpr std::size_t kPerChild = sizeof(BlockRef) + sizeof(BlockRefPtr) + 32;
    return sizeof(OpenedBlock) + packed.size() + raw.size() + children.size() * kPerChild;
}

base::Result<SealedBlock> seal_block(const SealContext& context, BlockType type, std::span<const BlockRefPtr> children,
                                     const BlockContent& content) {
    const auto content_bytes = content.packed.size() + content.raw.size() + children.size() * (kKeyBytes + 15);
    if (content_bytes > max_content_bytes(type)) {
        return base::Error{base::Errc::bad_argument, "a block's content is longer than its type allows"};
    }
    SealedBlock out;
    const Binding binding{type, context.group_bits, context.volume_tag};
    base::Bytes references;
    base::Bytes references_aad;
    if (!children.empty()) {
        references = encode_references(children);
        references_aad = references_associated(binding);
        out.ref.ref_key = section_key(context.dedup_key, references_aad, references);
    }
    const auto body = encode_body(children, content, context.zstd_level);
    const auto references_bytes = references.empty() ? 0 : references.size() + base::kSealOverhead;
    const auto body_bytes = body.size() + base::kSealOverhead;
    const auto total = kBlockHeaderBytes + references_bytes + body_bytes;
    if (total > base::kMaxBlockBytes) return base::Error{past::Errc::too_large, "a sealed block"};

    base::Writer header;
    header.raw(kMagic).u8(kFormat).u8(static_cast<std::uint8_t>(type)).u16(0);
    header.u32(static_cast<std::uint32_t>(references_bytes)).u32(static_cast<std::uint32_t>(body_bytes));
    base::Bytes sealed;
    sealed.reserve(total);
    sealed.assign(header.view().begin(), header.view().end());
    if (!references.empty()) base::seal_once_to(sealed, out.ref.ref_key, references_aad, references);
    const auto body_aad = body_associated(binding, base::ByteView{sealed}.subspan(kBlockHeaderBytes));
    out.ref.body_key = section_key(context.dedup_key, body_aad, body);
    base::seal_once_to(sealed, out.ref.body_key, body_aad, body);

    out.ref.id = base::sha256(sealed);
    out.ref.sealed_bytes = static_cast<std::uint32_t>(total);
    out.ref.type = type;
    out.ref.group_bits = context.group_bits;
    out.ref.key_epoch = context.key_epoch;
    out.ref.birth = context.birth;
    out.bytes = std::move(sealed);
    return out;
}

base::Result<BlockHeader> BlockHeader::decode(base::ByteView bytes) {
    base::Reader in{bytes};
    const auto magic = in.array<4>();
    const auto format = in.u8();
    const auto type = in.u8();
    const auto reserved = in.u16();
    BlockHeader out;
    out.references_bytes = in.u32();
    out.body_bytes = in.u32();
    if (!in.ok()) return base::Error{base::Errc::bad_format, "shorter than a block's header"};
    if (magic != kMagic) return base::Error{base::Errc::bad_format, "not a sealed block"};
    out.type = static_cast<BlockType>(type);
    if (format != kFormat || max_content_bytes(out.type) == 0) {
        return base::Error{base::Errc::unsupported, "format or type of a later version"};
    }
    if (reserved != 0) return base::Error{base::Errc::bad_format, "reserved bytes are not zero"};
    const std::uint64_t sections = std::uint64_t{out.references_bytes} + out.body_bytes;
    if (bytes.size() > base::kMaxBlockBytes || sections != in.remaining()) {
        return base::Error{base::Errc::bad_format, "its lengths do not add up"};
    }
    return out;
}

base::Result<OpenedBlock> open_block(const BlockRef& ref, const base::Guid& volume_tag, base::ByteView bytes,
                                     bool check_id) {
    if (check_id && base::sha256(bytes) != ref.id) return damaged(ref, "its bytes do not hash to its id");
    BASE_TRY(const auto sections, split(ref, bytes));
    BASE_TRY(auto children, open_children(ref, volume_tag, sections.references));
    const Binding binding{ref.type, ref.group_bits, volume_tag};
    auto body = base::open_once(ref.body_key, body_associated(binding, sections.references), sections.body);
    if (!body) return damaged(ref, "its body does not open");
    return decode_body(ref, std::move(children), *std::move(body));
}

base::Result<std::vector<BlockRef>> open_references(const BlockRef& ref, const base::Guid& volume_tag,
                                                    base::ByteView bytes) {
    if (base::sha256(bytes) != ref.id) return damaged(ref, "its bytes do not hash to its id");
    BASE_TRY(const auto sections, split(ref, bytes));
    return open_children(ref, volume_tag, sections.references);
}

}  // namespace objstore
