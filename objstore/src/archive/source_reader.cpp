#include "source_reader.hpp"

#include <algorithm>
#include <array>

#include "objstore/archive/scanner.hpp"

namespace objstore::archive {
namespace {

void lose(ReadOutcome& outcome, const base::Error& error) {
    outcome.lost = true;
    const bool vanished = error == base::Errc::not_found;
    outcome.warnings.push_back({vanished ? WarningKind::vanished : WarningKind::unreadable, error});
}

bool same_version(const base::FileStat& a, const base::FileStat& b) {
    return a.size == b.size && a.mtime == b.mtime && a.ctime == b.ctime;
}

ReadChunk name_chunk(const EpochKeys& keys, const base::Bytes& buffer, std::size_t at, std::size_t length,
                     std::uint64_t file_offset) {
    ReadChunk chunk;
    chunk.file_offset = file_offset;
    chunk.buffer_offset = at;
    chunk.length = static_cast<std::uint32_t>(length);
    chunk.hash = chunk_hash(keys, base::ByteView{buffer}.subspan(at, length));
    return chunk;
}

void take_xattrs(base::Result<std::vector<base::Xattr>> read, ReadOutcome& outcome, base::Bytes& buffer,
                 const EpochKeys& keys) {
    if (!read) {
        outcome.warnings.push_back({WarningKind::attributes, read.error()});
        return;
    }
    for (auto& xattr : *read) {
        if (xattr.name.empty() || xattr.name.size() > kMaxXattrNameBytes) {
            base::Error why{base::Errc::unsupported, "an attribute whose name is longer than 255 bytes"};
            outcome.warnings.push_back({WarningKind::attributes, std::move(why)});
            continue;
        }
        ReadXattr out{.name = std::move(xattr.name)};
        if (xattr.value.size() <= kMaxInlineBytes) {
            out.value = std::move(xattr.value);
        } else {
            const auto at = buffer.size();
            buffer.insert(buffer.end(), xattr.value.begin(), xattr.value.end());
            out.chunk = name_chunk(keys, buffer, at, xattr.value.size(), 0);
        }
        outcome.xattrs.push_back(std::move(out));
    }
}

// Fills `out` from `offset`; says how much there was.
base::Result<std::size_t> read_fully(base::LocalFile& file, std::uint64_t offset, std::span<std::uint8_t> out) {
    std::size_t done = 0;
    while (done < out.size()) {
        BASE_TRY(const auto read, file.read_at(offset + done, out.subspan(done)));
        if (read == 0) break;
        done += read;
    }
    return done;
}

base::Result<std::vector<base::DataRange>> ranges_of(base::LocalFile& file, const base::FileStat& stat) {
    // Only a file with fewer blocks than bytes can have holes; asking costs a system call a stretch.
    if (stat.size == 0) return std::vector<base::DataRange>{};
    if (stat.allocated_bytes < stat.size) return file.data_ranges();
    return std::vector<base::DataRange>{{0, stat.size}};
}

// Files that a kernel makes up (/proc) say that they are empty and are not. Endless ones are left out; one that was
// empty and is growing is no such file.
base::Result<void> read_made_up(base::LocalFile& file, SourceItem& item, ReadOutcome& outcome, base::Bytes& buffer,
                                const EpochKeys& keys) {
    std::array<std::uint8_t, 4096> piece{};
    const auto begin = buffer.size();
    for (;;) {
        BASE_TRY(const auto read, file.read_at(buffer.size() - begin, piece));
        if (read == 0) break;
        if (buffer.size() - begin + read > kPackBytes) {
            if (const auto now = file.stat(); now && now->size > 0) {
                outcome.grown = true;
                return base::ok();
            }
            return base::Error{base::Errc::unsupported, "it says that it is empty and has no end"};
        }
        buffer.insert(buffer.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(read));
    }
    item.stat.size = buffer.size() - begin;
    if (item.stat.size == 0) return base::ok();
    outcome.chunks.push_back(name_chunk(keys, buffer, begin, item.stat.size, 0));
    outcome.data_bytes += item.stat.size;
    return base::ok();
}

base::Result<void> read_contents(base::LocalFile& file, SourceItem& item, ReadOutcome& outcome, base::Bytes& buffer,
                                 const EpochKeys& keys) {
    if (item.stat.size == 0) return read_made_up(file, item, outcome, buffer, keys);
    BASE_TRY(const auto ranges, ranges_of(file, item.stat));
    for (const auto& range : ranges) {
        if (range.offset >= item.stat.size) break;
        const auto length = std::min(range.length, item.stat.size - range.offset);
        const auto at = buffer.size();
        buffer.resize(at + length);
        BASE_TRY(const auto read, read_fully(file, range.offset, std::span{buffer}.subspan(at)));
        buffer.resize(at + read);
        if (read > 0) outcome.chunks.push_back(name_chunk(keys, buffer, at, read, range.offset));
        outcome.data_bytes += read;
        if (read < length) {  // it shrank while it was read
            item.stat.size = range.offset + read;
            break;
        }
    }
    return base::ok();
}

void read_small_file(SourceItem& item, ReadOutcome& outcome, base::Bytes& buffer, const EpochKeys& keys) {
    auto file = item.directory->open_file(item.name);
    if (!file) return lose(outcome, file.error());
    auto before = (*file)->stat();
    if (!before) return lose(outcome, before.error());
    if (before->size >= kSmallFileBytes) {  // it was small when the walk saw it
        outcome.grown = true;
        return;
    }
    item.stat = *before;
    const auto rewind = buffer.size();
    const auto read = read_contents(**file, item, outcome, buffer, keys);
    if (!read || outcome.grown) {
        buffer.resize(rewind);
        outcome.chunks.clear();
        outcome.data_bytes = 0;
        if (!read) lose(outcome, read.error());
        return;
    }
    const auto after = (*file)->stat();
    if (!after || !same_version(*before, *after)) outcome.warnings.push_back({WarningKind::changed, {}});
    take_xattrs((*file)->xattrs(), outcome, buffer, keys);
}

void read_link(SourceItem& item, ReadOutcome& outcome) {
    auto target = item.directory->read_link(item.name);
    if (!target) return lose(outcome, target.error());
    if (target->size() > kMaxSymlinkBytes) {
        return lose(outcome, base::Error{base::Errc::unsupported, "link target too long"});
    }
    outcome.link_target = std::move(*target);
}

}  // namespace

std::string SourceItem::path() const { return name.empty() ? *directory_path : joined(*directory_path, name); }

void read_run(Run& run, const EpochKeys& keys) {
    run.buffer = std::make_shared<base::Bytes>();
    run.buffer->reserve(run.planned_bytes);
    run.outcomes.resize(run.items.size());
    for (std::size_t i = 0; i < run.items.size(); ++i) {
        auto& item = run.items[i];
        auto& outcome = run.outcomes[i];
        if (item.stat.type == base::FileType::regular) {
            read_small_file(item, outcome, *run.buffer, keys);
        } else if (item.name.empty()) {
            if (item.directory) take_xattrs(item.directory->xattrs(), outcome, *run.buffer, keys);
        } else {
            if (item.stat.type == base::FileType::symlink) read_link(item, outcome);
            if (!outcome.lost) take_xattrs(item.directory->xattrs(item.name), outcome, *run.buffer, keys);
        }
    }
}

LargeReader::LargeReader(SourceItem item, const Chunker& chunker, const EpochKeys& keys)
    : item_{std::move(item)}, chunker_{chunker}, keys_{keys}, attributes_{std::make_shared<base::Bytes>()} {}

void LargeReader::open() {
    auto file = item_.directory->open_file(item_.name);
    if (!file) return lose(outcome_, file.error());
    file_ = std::move(*file);
    auto stat = file_->stat();
    if (!stat) return lose(outcome_, stat.error());
    item_.stat = *stat;
    auto ranges = ranges_of(*file_, item_.stat);
    if (!ranges) return lose(outcome_, ranges.error());
    for (auto range : *ranges) {
        if (range.offset >= item_.stat.size) break;
        range.length = std::min(range.length, item_.stat.size - range.offset);
        if (range.length > 0) ranges_.push_back(range);
    }
    take_xattrs(file_->xattrs(), outcome_, *attributes_, keys_);
    if (!ranges_.empty()) at_ = ranges_.front().offset;
}

LargeReader::Segment LargeReader::next() {
    Segment segment;
    segment.buffer = std::make_shared<base::Bytes>();
    auto& buffer = *segment.buffer;
    // Small stretches share a segment, so that a file of a thousand islands is not a thousand jobs.
    while (range_ < ranges_.size() && buffer.size() + chunker_.sizes().largest <= kSegmentBytes) {
        const auto end = ranges_[range_].offset + ranges_[range_].length;
        const auto begin = buffer.size();
        const auto wanted = std::min<std::uint64_t>(end - at_, kSegmentBytes - begin);
        buffer.resize(begin + wanted);
        auto read = read_fully(*file_, at_, std::span{buffer}.subspan(begin));
        if (!read) {
            lose(outcome_, read.error());
            segment.last = true;
            return segment;
        }
        buffer.resize(begin + *read);
        const bool shrank = *read < wanted;
        const bool range_ends = shrank || at_ + *read == end;
        std::size_t used = 0;
        while (used < *read) {
            const auto rest = base::ByteView{buffer}.subspan(begin + used);
            if (!range_ends && rest.size() < chunker_.sizes().largest) break;
            const auto length = chunker_.cut(rest, range_ends);
            segment.chunks.push_back(name_chunk(keys_, buffer, begin + used, length, at_ + used));
            used += length;
        }
        buffer.resize(begin + used);  // what is left over is read again with what follows it
        outcome_.data_bytes += used;
        at_ += used;
        if (shrank) {
            item_.stat.size = at_;
            range_ = ranges_.size();
        } else if (at_ == end && ++range_ < ranges_.size()) {
            at_ = ranges_[range_].offset;
        }
    }
    segment.last = range_ >= ranges_.size();
    return segment;
}

void LargeReader::close() {
    const auto after = file_->stat();
    if (!after || after->mtime != item_.stat.mtime || after->ctime != item_.stat.ctime ||
        after->size != item_.stat.size) {
        outcome_.warnings.push_back({WarningKind::changed, {}});
    }
    file_.reset();
}

}  // namespace objstore::archive
