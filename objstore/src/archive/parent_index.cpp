#include "objstore/archive/parent_index.hpp"

#include <algorithm>
#include <tuple>

#include "objstore/error.hpp"

namespace objstore::archive {

bool ParentIndex::File::same_as(const base::FileStat& stat, IgnoredChanges ignored) const {
    const bool same_ctime = ctime == stat.ctime || (ignored.ctime && ctime != base::Timestamp{});
    return type == stat.type && size == stat.size && mtime == stat.mtime && same_ctime &&
           (ignored.inode || source_inode == stat.inode) && mode == stat.mode && uid == stat.uid && gid == stat.gid &&
           nlink == stat.nlink && rdev == stat.rdev;
}

void ParentIndex::add(std::span<const Item> items) {
    for (const auto& item : items) {
        if (const auto* inode = std::get_if<Inode>(&item.value)) {
            File file;
            file.number = item.key.inode;
            file.source_inode = inode->source_inode;
            file.source_device = inode->source_device;
            file.size = inode->size;
            file.mtime = inode->mtime;
            file.ctime = inode->ctime;
            file.rdev = inode->rdev;
            file.nlink = inode->nlink;
            file.mode = inode->mode;
            file.uid = inode->uid;
            file.gid = inode->gid;
            file.type = inode->type;
            file.first_entry = static_cast<std::uint32_t>(names_.size());
            file.first_block = static_cast<std::uint32_t>(used_.size());
            files_.push_back(file);
            continue;
        }
        if (files_.empty() || files_.back().number != item.key.inode) continue;  // an inode without its record: ignored
        if (const auto* extent = std::get_if<Extent>(&item.value)) {
            if (extent->block) files_.back().data_bytes += extent->length;
            use(extent->block);
        } else if (const auto* entry = std::get_if<Entry>(&item.value)) {
            names_.push_back({arena_.size(), entry->inode, static_cast<std::uint8_t>(entry->name.size()), entry->type});
            arena_.insert(arena_.end(), entry->name.begin(), entry->name.end());
            ++files_.back().entries;
        } else if (const auto* xattr = std::get_if<XattrRecord>(&item.value)) {
            if (const auto* value = std::get_if<Extent>(&xattr->value)) use(value->block);
        } else if (const auto* carried = std::get_if<Opaque>(&item.value)) {
            for (const auto& block : carried->blocks) use(block);
        }
    }
}

void ParentIndex::use(const BlockRefPtr& block) {
    if (!block) return;
    auto& file = files_.back();
    if (block == last_used_ && file.blocks > 0) return;
    if (block != last_used_) {
        const auto [at, added] = block_of_.emplace(block->id, static_cast<std::uint32_t>(blocks_.size()));
        if (added) blocks_.push_back({block->id, block->group_bits});
        last_used_ = block;
        last_number_ = at->second;
    }
    used_.push_back(last_number_);
    ++file.blocks;
}

void ParentIndex::lose(const std::vector<bool>& held) {
    for (auto& file : files_) {
        const auto begin = used_.begin() + file.first_block;
        file.lost =
            file.lost || std::any_of(begin, begin + file.blocks, [&](std::uint32_t block) { return !held[block]; });
    }
}

void ParentIndex::finish() {
    block_of_.clear();
    last_used_.reset();
    for (const auto& file : files_) {
        const auto begin = names_.begin() + file.first_entry;
        std::sort(begin, begin + file.entries, [this](const Name& a, const Name& b) { return text(a) < text(b); });
    }
}

std::span<const ParentIndex::Name> ParentIndex::names(std::uint32_t directory) const {
    if (directory == kNone) return {};
    return std::span{names_}.subspan(files_[directory].first_entry, files_[directory].entries);
}

std::uint32_t ParentIndex::by_number(InodeNumber number) const {
    const auto found = std::lower_bound(files_.begin(), files_.end(), number,
                                        [](const File& file, InodeNumber wanted) { return file.number < wanted; });
    if (found == files_.end() || found->number != number) return kNone;
    return static_cast<std::uint32_t>(found - files_.begin());
}

std::uint32_t ParentIndex::by_source(std::uint64_t device, std::uint64_t inode) const {
    const auto source = [this](std::uint32_t index) {
        return std::tuple{files_[index].source_device, files_[index].source_inode};
    };
    if (by_source_.empty() && !files_.empty()) {
        by_source_.resize(files_.size());
        for (std::uint32_t i = 0; i < by_source_.size(); ++i) by_source_[i] = i;
        std::sort(by_source_.begin(), by_source_.end(), [&](std::uint32_t a, std::uint32_t b) {
            return std::tuple{source(a), a} < std::tuple{source(b), b};
        });
    }
    const std::tuple wanted{device, inode};
    const auto found = std::lower_bound(by_source_.begin(), by_source_.end(), wanted,
                                        [&](std::uint32_t index, const auto& value) { return source(index) < value; });
    return found == by_source_.end() || source(*found) != wanted ? kNone : *found;
}

base::Task<base::Result<ParentIndex>> load_parent(Tree tree) {
    ParentIndex index;
    TreeCursor cursor{tree};
    for (;;) {
        BASE_CO_TRY(const auto items, co_await cursor.next_items());
        if (items.empty()) break;
        index.add(items);
    }
    index.finish();
    co_return index;
}

}  // namespace objstore::archive
