// Reads what is to be stored: runs of small files into one buffer, large files a segment at a time, attributes and link
// targets on the way, and names every chunk. Runs on the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/local_tree.hpp"
#include "objstore/archive/chunker.hpp"
#include "objstore/archive/report.hpp"
#include "objstore/block.hpp"
#include "objstore/keys.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {

constexpr std::size_t kPackChunks = 16'384;
constexpr std::size_t kRunFiles = 512;
/// Chunks from here on become blocks of their own.
constexpr std::size_t kOwnBlockBytes = 256U << 10U;
constexpr std::size_t kSegmentBytes = 4U << 20U;

/// An inode that is to be stored.
struct SourceItem {
    InodeNumber number = 0;
    InodeNumber listed_in = 0;                        ///< the directory whose entry it is; 0 for a directory
    bool known = false;                               ///< the parent has this inode
    bool linked = false;                              ///< it has other names, which the walk may meet yet
    std::shared_ptr<base::LocalDirectory> directory;  ///< where it is; itself if `name` is empty
    std::shared_ptr<const std::string> directory_path;
    std::string name;
    base::FileStat stat;  ///< as walked; once read, as it was when reading began
    [[nodiscard]] std::string path() const;
};

struct ReadChunk {
    std::uint64_t file_offset = 0;
    std::size_t buffer_offset = 0;
    std::uint32_t length = 0;
    ChunkHash hash{};
};

struct ReadXattr {
    std::string name;
    base::Bytes value;
    std::optional<ReadChunk> chunk;  ///< instead of `value`, where that is above kMaxInlineBytes
};

struct ReadWarning {
    WarningKind kind{};
    base::Error error;
};

/// What became of one item.
struct ReadOutcome {
    bool lost = false;   ///< it is not there any more, or may not be read: nothing else here counts
    bool grown = false;  ///< a small file that is none any more: nothing else here counts, LargeReader has to read it
    std::vector<ReadWarning> warnings;
    std::vector<ReadXattr> xattrs;
    std::string link_target;
    std::vector<ReadChunk> chunks;
    std::uint64_t data_bytes = 0;
};

using Buffer = std::shared_ptr<base::Bytes>;

struct Run {
    std::vector<SourceItem> items;
    std::vector<ReadOutcome> outcomes;  ///< one an item
    Buffer buffer;
    std::size_t planned_bytes = 0;
};

/// Reads every item of the run: attributes, link targets, contents of small files.
void read_run(Run& run, const EpochKeys& keys);

/// One large file, from beginning to end. One call at a time.
class LargeReader {
  public:
    struct Segment {
        Buffer buffer;
        std::vector<ReadChunk> chunks;
        bool last = false;
    };

    LargeReader(SourceItem item, const Chunker& chunker, const EpochKeys& keys);

    /// Opens and reads the attributes. If outcome().lost, that was all.
    void open();
    Segment next();
    /// After the last segment: says whether the file changed meanwhile.
    void close();
    [[nodiscard]] const SourceItem& item() const { return item_; }
    [[nodiscard]] ReadOutcome& outcome() { return outcome_; }
    /// Where the values of large attributes lie.
    [[nodiscard]] const Buffer& attribute_buffer() const { return attributes_; }

  private:
    SourceItem item_;
    const Chunker& chunker_;
    const EpochKeys& keys_;
    std::unique_ptr<base::LocalFile> file_;
    ReadOutcome outcome_;
    Buffer attributes_;
    std::vector<base::DataRange> ranges_;
    std::size_t range_ = 0;
    std::uint64_t at_ = 0;  // in the file
};

}  // namespace objstore::archive
