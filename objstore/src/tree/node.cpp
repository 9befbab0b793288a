#include "tree/node.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <unordered_map>
#include <utility>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "block/varint.hpp"

namespace objstore {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint32_t kMaxMode = 07777;

bool opaque_kind(Kind kind) { return kind >= kFirstCarried; }
/// Kinds whose sub is a hash: it does not compress, and several records may share it.
bool hashed_kind(Kind kind) { return kind == Kind::xattr || kind == Kind::entry || opaque_kind(kind); }

/// A leaf is stored by columns: each field of a kind of record by itself, since like compresses best beside like. The
/// order is the format's. A column of numbers that are all 0 is left empty, and empty ones at the end are left out: so
/// a later version may add columns, and an earlier one reads what does not use them.
enum ColumnId : std::size_t {
    kKind,         // one byte an item
    kInodeNumber,  // difference to the item before
    kSub,          // extents: offset in the file, or its difference within one file
    kTie,          // hashed kinds
    kMode,         // inodes: type and mode
    kUid,
    kGid,
    kSize,
    kMtimeSeconds,
    kMtimeNanos,
    kCtimeSeconds,
    kCtimeNanos,
    kLinks,
    kRdev,
    kSourceDevice,
    kSourceInode,
    kExtentBlock,  // extents and long xattr values
    kExtentOffset,
    kExtentLength,
    kEntryInode,  // entries
    kEntryType,
    kTextLength,  // names of entries and xattrs
    kText,
    kDataLength,  // inline data, xattr values in place, opaque records
    kData,
    kOpaqueBlocks,
    kUnhashed,  // extents that are no hole: 1 without a chunk hash
    kAtimeSeconds,
    kAtimeNanos,
    kBtimeSeconds,
    kBtimeNanos,
    kChange,
    kFlags,
    kParent,
    kColumns,
};

bool all_zeros(std::size_t column, base::ByteView bytes) {
    return column != kText && column != kData &&
           std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::uint64_t as_u64(std::int64_t value) { return static_cast<std::uint64_t>(value); }
std::int64_t as_i64(std::uint64_t value) { return static_cast<std::int64_t>(value); }

/// Of a time's seconds; its nanoseconds are in the one after it.
struct TimeColumn {
    ColumnId seconds;
    base::Timestamp Inode::* field;
};
constexpr std::array kTimes{TimeColumn{kMtimeSeconds, &Inode::mtime}, TimeColumn{kCtimeSeconds, &Inode::ctime},
                            TimeColumn{kAtimeSeconds, &Inode::atime}, TimeColumn{kBtimeSeconds, &Inode::btime}};
constexpr ColumnId nanoseconds_of(TimeColumn time) { return static_cast<ColumnId>(time.seconds + 1); }

/// What a record is written as a difference to. Both sides move it alike.
struct Before {
    TreeKey key;
    Inode inode;
    std::uint64_t entry_inode = 0;
    std::uint64_t block = 0;      // index of the block that the last extent named
    std::uint64_t block_end = 0;  // where that extent ended in it

    /// The most likely length of an extent: what is left of the file.
    [[nodiscard]] std::uint64_t likely_length(const TreeKey& at) const {
        return at.inode == key.inode && at.sub < inode.size ? inode.size - at.sub : 0;
    }
};

// --- Writing

class LeafEncoder {
  public:
    explicit LeafEncoder(EncodedNode& out) : out_{out} {}

    void add(const Item& item) {
        put_key(item.key);
        std::visit([&](const auto& value) { put_value(item.key, value); }, item.value);
        before_.key = item.key;
    }
    void finish() {
        for (std::size_t i = 0; i < kColumns; ++i) {
            if (all_zeros(i, columns_[i])) columns_[i].clear();
        }
        auto used = columns_.size();
        while (used > 0 && columns_[used - 1].empty()) --used;
        put_varint(out_.packed, used);
        for (std::size_t i = 0; i < used; ++i) put_varint(out_.packed, columns_[i].size());
        for (const auto& column : columns_) out_.packed.insert(out_.packed.end(), column.begin(), column.end());
    }

  private:
    void number(ColumnId column, std::uint64_t value) { put_varint(columns_[column], value); }
    void difference(ColumnId column, std::uint64_t value, std::uint64_t before) {
        put_varint(columns_[column], zigzag(value, before));
    }
    void blob(ColumnId lengths, ColumnId column, base::ByteView bytes) {
        number(lengths, bytes.size());
        columns_[column].insert(columns_[column].end(), bytes.begin(), bytes.end());
    }
    void raw(base::ByteView bytes) { out_.raw.insert(out_.raw.end(), bytes.begin(), bytes.end()); }
    void raw_u64(std::uint64_t value) {
        for (unsigned i = 0; i < 8; ++i) out_.raw.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    }

    void put_key(const TreeKey& key) {
        columns_[kKind].push_back(static_cast<std::uint8_t>(key.kind));
        number(kInodeNumber, key.inode - before_.key.inode);
        if (hashed_kind(key.kind)) {
            raw_u64(key.sub);
            number(kTie, key.tie);
        } else if (key.kind == Kind::extent) {
            const bool same_file = before_.key.kind == Kind::extent && before_.key.inode == key.inode;
            number(kSub, same_file ? key.sub - before_.key.sub : key.sub);
        }
    }

    void put_value(const TreeKey&, const Inode& inode) {
        const auto& last = before_.inode;
        number(kMode, (static_cast<std::uint64_t>(inode.type) << 12U) | inode.mode);
        number(kUid, inode.uid);
        number(kGid, inode.gid);
        number(kSize, inode.size);
        for (const auto& time : kTimes) {
            difference(time.seconds, as_u64((inode.*time.field).seconds), as_u64((last.*time.field).seconds));
            number(nanoseconds_of(time), (inode.*time.field).nanoseconds);
        }
        number(kLinks, inode.nlink);
        number(kRdev, inode.rdev);
        difference(kSourceDevice, inode.source_device, last.source_device);
        difference(kSourceInode, inode.source_inode, last.source_inode);
        difference(kChange, inode.change, last.change);
        number(kFlags, inode.flags);
        difference(kParent, inode.parent, last.parent);
        before_.inode = inode;
    }
    void put_value(const TreeKey& key, const Extent& extent) { put_extent(extent, before_.likely_length(key)); }
    void put_value(const TreeKey&, const InlineData& data) { blob(kDataLength, kData, data.bytes); }
    void put_value(const TreeKey&, const Entry& entry) {
        difference(kEntryInode, entry.inode, std::exchange(before_.entry_inode, entry.inode));
        columns_[kEntryType].push_back(static_cast<std::uint8_t>(entry.type));
        blob(kTextLength, kText, base::as_bytes(entry.name));
    }
    void put_value(const TreeKey&, const XattrRecord& xattr) {
        blob(kTextLength, kText, base::as_bytes(xattr.name));
        if (const auto* bytes = std::get_if<base::Bytes>(&xattr.value)) {
            number(kDataLength, bytes->size() + 1);
            columns_[kData].insert(columns_[kData].end(), bytes->begin(), bytes->end());
        } else {
            number(kDataLength, 0);
            put_extent(std::get<Extent>(xattr.value), 0);
        }
    }
    void put_value(const TreeKey&, const Opaque& opaque) {
        blob(kDataLength, kData, opaque.bytes);
        number(kOpaqueBlocks, opaque.blocks.size());
        for (const auto& block : opaque.blocks) number(kOpaqueBlocks, index_of(block));
    }

    void put_extent(const Extent& extent, std::uint64_t likely_length) {
        difference(kExtentLength, extent.length, likely_length);
        if (extent.block == nullptr) {
            number(kExtentBlock, 0);
            return;
        }
        const auto index = index_of(extent.block);
        number(kExtentBlock, 1 + zigzag(index, before_.block));
        difference(kExtentOffset, extent.offset, index == before_.block ? before_.block_end : 0);
        number(kUnhashed, extent.hash ? 0 : 1);
        if (extent.hash) raw(*extent.hash);
        before_.block = index;
        before_.block_end = extent.offset + extent.length;
    }

    std::uint64_t index_of(const BlockRefPtr& block) {
        const auto [at, added] = indices_.try_emplace(block->id, out_.blocks.size());
        if (added) out_.blocks.push_back(block);
        return at->second;
    }

    EncodedNode& out_;
    std::array<base::Bytes, kColumns> columns_;
    std::unordered_map<base::Guid, std::uint64_t> indices_;
    Before before_;
};

void encode_children(const TreeNode& node, EncodedNode& out) {
    std::uint64_t inode = 0;
    for (const auto& child : node.children) {
        put_varint(out.packed, child.first.inode - std::exchange(inode, child.first.inode));
        out.packed.push_back(static_cast<std::uint8_t>(child.first.kind));
        put_varint(out.packed, child.first.sub);
        put_varint(out.packed, child.first.tie);
        out.blocks.push_back(child.ref);
    }
}

// --- Checks

bool valid_type(base::FileType type) { return type >= base::FileType::regular && type <= base::FileType::block; }

bool valid_name(std::string_view name) {
    return !name.empty() && name.size() <= base::kMaxNameBytes && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

bool valid_extent(const Extent& extent) {
    if (extent.length == 0 || extent.length > INT64_MAX) return false;
    if (extent.block == nullptr) return extent.offset == 0 && !extent.hash;
    return extent.offset + extent.length <= max_content_bytes(BlockType::pack);
}

bool valid_times(const Inode& inode) {
    return std::all_of(kTimes.begin(), kTimes.end(), [&](const TimeColumn& time) {
        return (inode.*time.field).nanoseconds < base::kNanosecondsPerSecond;
    });
}

struct Validity {
    const TreeKey& key;

    bool operator()(const Inode& inode) const {
        return key.kind == Kind::inode && key.sub == 0 && key.tie == 0 && valid_type(inode.type) &&
               inode.mode <= kMaxMode && valid_times(inode);
    }
    bool operator()(const InlineData& data) const {
        return key.kind == Kind::inline_data && key.sub == 0 && key.tie == 0 && data.bytes.size() <= kMaxSymlinkBytes;
    }
    bool operator()(const Extent& extent) const {
        return key.kind == Kind::extent && key.tie == 0 && valid_extent(extent) && key.sub <= INT64_MAX - extent.length;
    }
    bool operator()(const Entry& entry) const {
        return key.kind == Kind::entry && valid_name(entry.name) && valid_type(entry.type);
    }
    bool operator()(const XattrRecord& xattr) const {
        if (key.kind != Kind::xattr || xattr.name.empty() || xattr.name.size() > kMaxXattrNameBytes ||
            xattr.name.find('\0') != std::string::npos) {
            return false;
        }
        if (const auto* bytes = std::get_if<base::Bytes>(&xattr.value)) return bytes->size() <= kMaxInlineBytes;
        const auto& extent = std::get<Extent>(xattr.value);
        return extent.block != nullptr && valid_extent(extent);
    }
    bool operator()(const Opaque& opaque) const {
        return opaque_kind(key.kind) && opaque.bytes.size() <= kMaxOpaqueBytes && opaque.blocks.size() <= 64;
    }
};

// --- Reading

base::Error malformed(std::string_view what) { return base::Error{base::Errc::bad_format, std::string{what}}; }

class LeafDecoder {
  public:
    LeafDecoder(const OpenedBlock& block, Column packed) : blocks_{block.children}, raw_{block.raw.view()} {
        const auto used = packed.varint();
        later_ = used > kColumns;
        if (later_) return;
        std::array<std::size_t, kColumns> sizes{};
        for (std::size_t i = 0; i < used; ++i) {
            const auto declared = packed.varint();
            sizes[i] = declared <= packed.remaining() ? static_cast<std::size_t>(declared) : packed.failed();
        }
        const bool shortest = used == 0 || sizes[used - 1] != 0;
        for (std::size_t i = 0; i < kColumns; ++i) {
            const auto bytes = packed.raw(sizes[i]);
            zeros_[i] = all_zeros(i, bytes);
            if (zeros_[i] && !bytes.empty()) packed.failed();  // a second encoding of one leaf
            columns_[i] = Column{bytes};
        }
        sound_ = packed.complete() && shortest;
    }

    base::Result<std::vector<Item>> items(std::size_t count) {
        if (later_) return base::Error{base::Errc::unsupported, "a leaf with fields of a later version"};
        // Every item has a byte in the column of kinds: checked before memory is taken.
        if (!sound_ || columns_[kKind].remaining() != count) return malformed("a leaf's columns do not add up");
        std::vector<Item> out(count);
        for (auto& item : out) {
            item.key = key();
            if (&item != out.data() && item.key <= before_.key) return malformed("a leaf's keys do not ascend");
            if (!value(item)) {
                return base::Error{base::Errc::unsupported, "a record of a later version"};
            }
            if (!sound_ || !valid_item(item)) return malformed("a record breaks its limits");
            before_.key = item.key;
        }
        if (!complete()) return malformed("a leaf is cut short or too long");
        return out;
    }

  private:
    std::uint64_t number(ColumnId column) { return zeros_[column] ? 0 : columns_[column].varint(); }
    std::uint64_t difference(ColumnId column, std::uint64_t before) { return unzigzag(number(column), before); }
    template <class Narrow>
    Narrow narrow(std::uint64_t value) {
        if (value > std::numeric_limits<Narrow>::max()) sound_ = false;
        return static_cast<Narrow>(value);
    }
    base::ByteView blob(ColumnId column, std::uint64_t length) {
        return columns_[column].raw(static_cast<std::size_t>(length));
    }
    std::string text() { return std::string{base::as_text(blob(kText, number(kTextLength)))}; }

    TreeKey key() {
        TreeKey out;
        out.kind = static_cast<Kind>(columns_[kKind].u8());
        out.inode = before_.key.inode + number(kInodeNumber);
        if (hashed_kind(out.kind)) {
            out.sub = raw_.u64();
            out.tie = narrow<std::uint32_t>(number(kTie));
        } else if (out.kind == Kind::extent) {
            const bool same_file = before_.key.kind == Kind::extent && before_.key.inode == out.inode;
            out.sub = number(kSub) + (same_file ? before_.key.sub : 0);
        }
        return out;
    }

    bool value(Item& item) {
        switch (item.key.kind) {
            case Kind::inode: item.value = inode(); return true;
            case Kind::xattr: item.value = xattr(); return true;
            case Kind::inline_data: {
                item.value = InlineData{base::to_bytes(blob(kData, number(kDataLength)))};
                return true;
            }
            case Kind::extent: item.value = extent(before_.likely_length(item.key)); return true;
            case Kind::entry: item.value = entry(); return true;
            case Kind::live:
            case Kind::snapshot:
            case Kind::conflict:
            case Kind::version:
            case Kind::policy: break;
        }
        if (!opaque_kind(item.key.kind)) return false;
        item.value = opaque();
        return true;
    }

    Inode inode() {
        Inode out;
        const auto& last = before_.inode;
        const auto mode = number(kMode);
        out.type = static_cast<base::FileType>(narrow<std::uint8_t>(mode >> 12U));
        out.mode = static_cast<std::uint32_t>(mode & kMaxMode);
        out.uid = narrow<std::uint32_t>(number(kUid));
        out.gid = narrow<std::uint32_t>(number(kGid));
        out.size = number(kSize);
        for (const auto& time : kTimes) {
            (out.*time.field).seconds = as_i64(difference(time.seconds, as_u64((last.*time.field).seconds)));
            (out.*time.field).nanoseconds = narrow<std::uint32_t>(number(nanoseconds_of(time)));
        }
        out.nlink = number(kLinks);
        out.rdev = number(kRdev);
        out.source_device = difference(kSourceDevice, last.source_device);
        out.source_inode = difference(kSourceInode, last.source_inode);
        out.change = difference(kChange, last.change);
        out.flags = narrow<std::uint32_t>(number(kFlags));
        out.parent = difference(kParent, last.parent);
        before_.inode = out;
        return out;
    }

    XattrRecord xattr() {
        XattrRecord out;
        out.name = text();
        if (const auto length = number(kDataLength); length != 0) {
            out.value = base::to_bytes(blob(kData, length - 1));
        } else {
            out.value = extent(0);
        }
        return out;
    }

    Entry entry() {
        Entry out;
        out.inode = before_.entry_inode = difference(kEntryInode, before_.entry_inode);
        out.type = static_cast<base::FileType>(columns_[kEntryType].u8());
        out.name = text();
        return out;
    }

    Extent extent(std::uint64_t likely_length) {
        Extent out;
        out.length = difference(kExtentLength, likely_length);
        const auto coded = number(kExtentBlock);
        if (coded == 0) return out;
        const auto index = unzigzag(coded - 1, before_.block);
        const auto offset = difference(kExtentOffset, index == before_.block ? before_.block_end : 0);
        out.block = block(index);
        out.offset = narrow<std::uint32_t>(offset);
        const auto unhashed = number(kUnhashed);
        if (unhashed > 1) sound_ = false;
        if (unhashed == 0) raw_.fill(out.hash.emplace());
        before_.block = index;
        before_.block_end = out.offset + out.length;
        return out;
    }

    Opaque opaque() {
        Opaque out;
        out.bytes = base::to_bytes(blob(kData, number(kDataLength)));
        const auto count = number(kOpaqueBlocks);
        if (count > columns_[kOpaqueBlocks].remaining()) sound_ = false;
        for (std::uint64_t i = 0; sound_ && i < count; ++i) out.blocks.push_back(block(number(kOpaqueBlocks)));
        return out;
    }

    /// Blocks are numbered in the order of their first mention: another order would be a second encoding of one leaf.
    BlockRefPtr block(std::uint64_t index) {
        if (index > mentioned_ || index >= blocks_.size()) {
            sound_ = false;
            return nullptr;
        }
        if (index == mentioned_) ++mentioned_;
        return blocks_[static_cast<std::size_t>(index)];
    }

    [[nodiscard]] bool complete() const {
        return sound_ && raw_.complete() && mentioned_ == blocks_.size() &&
               std::all_of(columns_.begin(), columns_.end(), [](const Column& column) { return column.complete(); });
    }

    const std::vector<BlockRefPtr>& blocks_;
    Column raw_;
    std::array<Column, kColumns> columns_;
    std::array<bool, kColumns> zeros_{};  // left empty: whatever it holds is 0
    Before before_;
    std::uint64_t mentioned_ = 0;
    bool later_ = false;
    bool sound_ = false;
};

base::Result<std::vector<ChildLink>> decode_children(const OpenedBlock& block, Column in, std::size_t count) {
    if (count != block.children.size() || count == 0 || !block.raw.empty()) {
        return malformed("an inner node's children do not add up");
    }
    std::vector<ChildLink> out(count);
    std::uint64_t inode = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto& child = out[i];
        child.first.inode = inode = inode + in.varint();
        child.first.kind = static_cast<Kind>(in.u8());
        child.first.sub = in.varint();
        const auto tie = in.varint();
        if (tie > UINT32_MAX) return malformed("a key breaks its limits");
        child.first.tie = static_cast<std::uint32_t>(tie);
        child.ref = block.children[i];
        if (i != 0 && child.first <= out[i - 1].first) return malformed("an inner node's keys do not ascend");
        const auto type = child.ref->type;
        if (type != BlockType::tree_leaf && type != BlockType::tree_inner) return malformed("a child that is no node");
    }
    if (!in.complete()) return malformed("an inner node is cut short or too long");
    return out;
}

}  // namespace

bool valid_item(const Item& item) { return std::visit(Validity{item.key}, item.value); }

EncodedNode encode_node(const TreeNode& node) {
    EncodedNode out;
    out.packed = {kVersion, node.level};
    put_varint(out.packed, node.shape.node_bytes);
    put_varint(out.packed, node.shape.name_epoch);
    put_varint(out.packed, node.leaf() ? node.items.size() : node.children.size());
    if (!node.leaf()) {
        encode_children(node, out);
        return out;
    }
    LeafEncoder encoder{out};
    for (const auto& item : node.items) {
        assert(valid_item(item));
        encoder.add(item);
    }
    encoder.finish();
    return out;
}

base::Result<TreeNode> decode_node(const OpenedBlock& block) {
    Column in{block.packed.view()};
    TreeNode out;
    const auto version = in.u8();
    out.level = in.u8();
    const auto node_bytes = in.varint();
    const auto name_epoch = in.varint();
    const auto count = in.varint();
    if (!in.ok()) return malformed("a node's header is cut short");
    if (version != kVersion) return base::Error{base::Errc::unsupported, "a tree of a later version"};
    if (out.level > kMaxTreeLevel || out.leaf() != (block.type == BlockType::tree_leaf) || node_bytes < kMinNodeBytes ||
        node_bytes > kMaxNodeBytes || name_epoch > UINT32_MAX || count > in.remaining()) {
        return malformed("a node's header breaks its limits");
    }
    out.shape.node_bytes = static_cast<std::uint32_t>(node_bytes);
    out.shape.name_epoch = static_cast<std::uint32_t>(name_epoch);
    if (out.leaf()) {
        LeafDecoder decoder{block, in};
        BASE_TRY(out.items, decoder.items(static_cast<std::size_t>(count)));
    } else {
        BASE_TRY(out.children, decode_children(block, in, static_cast<std::size_t>(count)));
    }
    return out;
}

}  // namespace objstore
