#include "archive/stream_tree.hpp"

#include <algorithm>
#include <cstring>

#include "archive/read_only_directory.hpp"
#include "base/error.hpp"
#include "cli/files.hpp"

namespace tools {

namespace {

using base::FileStat;
using base::FileType;
using base::LocalDirectory;
using base::LocalFile;

constexpr std::uint64_t kEndless = std::uint64_t{1} << 60U;  // until the end has been seen
constexpr std::size_t kPiece = 256U << 10U;
constexpr std::size_t kLookBack = 4U << 20U;
constexpr std::uint64_t kFileInode = 2;

/// What is shared by the file and whoever asks for its stat.
struct Stream {
    explicit Stream(StreamFile given) : file{std::move(given)} {}

    [[nodiscard]] FileStat stat_of_file() const {
        FileStat stat;
        stat.mode = 0644;
        stat.uid = file.uid;
        stat.gid = file.gid;
        stat.size = stat.allocated_bytes = ended ? begin + window.size() : kEndless;
        stat.mtime = stat.ctime = file.time;
        stat.inode = kFileInode;
        return stat;
    }
    [[nodiscard]] FileStat stat_of_directory(const std::string& path) const {
        FileStat stat;
        stat.type = FileType::directory;
        stat.mode = 0755;
        stat.uid = file.uid;
        stat.gid = file.gid;
        stat.inode = kFileInode + 1 + static_cast<std::uint64_t>(std::ranges::count(path, '/'));
        return stat;
    }
    base::Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) {
        if (offset < begin) return base::Error{base::Errc::io_failed, "a stream cannot be read a second time"};
        if (offset > begin + kLookBack) {
            const auto gone = std::min<std::uint64_t>(offset - kLookBack - begin, window.size());
            window.erase(window.begin(), window.begin() + static_cast<std::ptrdiff_t>(gone));
            begin += gone;
        }
        while (!ended && begin + window.size() < offset + out.size()) {
            const auto had = window.size();
            window.resize(had + kPiece);
            const auto got = file.read(std::span{window}.subspan(had));
            window.resize(had + (got ? *got : 0));
            if (!got) return got.error();
            ended = *got == 0;
        }
        if (offset >= begin + window.size()) return 0;
        const auto from = static_cast<std::size_t>(offset - begin);
        const auto length = std::min(out.size(), window.size() - from);
        std::memcpy(out.data(), window.data() + from, length);
        return length;
    }

    StreamFile file;
    base::Bytes window;       // the stream from `begin` on, as far as it was read
    std::uint64_t begin = 0;  // of the window, in the stream
    bool ended = false;
};

class OpenStream final : public ReadOnlyFile {
  public:
    explicit OpenStream(std::shared_ptr<Stream> stream) : stream_{std::move(stream)} {}
    base::Result<FileStat> stat() override { return stream_->stat_of_file(); }
    base::Result<std::size_t> read_at(std::uint64_t offset, std::span<std::uint8_t> out) override {
        return stream_->read_at(offset, out);
    }
    base::Result<std::vector<base::DataRange>> data_ranges() override {
        return std::vector<base::DataRange>{{0, stream_->stat_of_file().size}};
    }
    base::Result<std::vector<base::Xattr>> xattrs() override { return std::vector<base::Xattr>{}; }

  private:
    std::shared_ptr<Stream> stream_;
};

/// A directory that leads to the file.
class Leading final : public ReadOnlyDirectory {
  public:
    Leading(std::shared_ptr<Stream> stream, std::string path) : stream_{std::move(stream)}, path_{std::move(path)} {}

    base::Result<FileStat> stat() override { return stream_->stat_of_directory(path_); }
    base::Result<std::vector<Entry>> list() override {
        const auto type = is_last() ? FileType::regular : FileType::directory;
        return std::vector<Entry>{{next(), type}};
    }
    base::Result<FileStat> stat(std::string_view name) override {
        if (name != next()) return base::Errc::not_found;
        return is_last() ? stream_->stat_of_file() : stream_->stat_of_directory(join_path(path_, name));
    }
    base::Result<std::unique_ptr<LocalDirectory>> open_directory(std::string_view name) override {
        if (name != next() || is_last()) return base::Errc::not_found;
        return std::make_unique<Leading>(stream_, join_path(path_, name));
    }
    base::Result<std::unique_ptr<LocalFile>> open_file(std::string_view name) override {
        if (name != next() || !is_last()) return base::Errc::not_found;
        return std::make_unique<OpenStream>(stream_);
    }
    base::Result<std::string> read_link(std::string_view) override { return base::Errc::not_found; }
    base::Result<std::vector<base::Xattr>> xattrs() override { return std::vector<base::Xattr>{}; }
    base::Result<std::vector<base::Xattr>> xattrs(std::string_view) override { return std::vector<base::Xattr>{}; }

  private:
    [[nodiscard]] std::string rest() const { return stream_->file.path.substr(path_ == "/" ? 1 : path_.size() + 1); }
    [[nodiscard]] std::string next() const { return rest().substr(0, rest().find('/')); }
    [[nodiscard]] bool is_last() const { return rest().find('/') == std::string::npos; }

    std::shared_ptr<Stream> stream_;
    std::string path_;
};

class StreamTree final : public ReadOnlyTree {
  public:
    explicit StreamTree(StreamFile file) : stream_{std::make_shared<Stream>(std::move(file))} {}

    base::Result<std::unique_ptr<LocalDirectory>> open(std::string_view path) override {
        const bool leads = path == "/" || stream_->file.path.starts_with(std::string{path} + "/");
        if (!leads) return base::Errc::not_found;
        return std::make_unique<Leading>(stream_, std::string{path});
    }

  private:
    std::shared_ptr<Stream> stream_;
};

}  // namespace

std::unique_ptr<base::LocalTree> make_stream_tree(StreamFile file) {
    return std::make_unique<StreamTree>(std::move(file));
}

}  // namespace tools
