// What one small commit costs, in small volumes and in large ones. PELAGO_LONG=1: up to a million files.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "live/live_record.hpp"
#include "live/mounts.hpp"

namespace objstore {
namespace {

using test::LiveTest;

constexpr InodeNumber kDirectory = 2;
constexpr InodeNumber kFirstFile = InodeNumber{1} << InodeNumbers::kCounterBits;

/// A live tree with one directory of small files, made at once instead of by a mount.
class ManyFiles final : public ForestEditor {
  public:
    ManyFiles(const VolumeKeys& keys, std::size_t files, base::Rng& rng) : keys_{keys}, files_{files}, rng_{rng} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree /*forest*/, BlockWriter& writer) override {
        TreeUpdate update{writer, TreeShape{.node_bytes = kLiveNodeBytes, .name_epoch = keys_.epoch.epoch}};
        for (auto& item : items()) BASE_CO_CHECK(co_await update.put(std::move(item)));
        LiveRecord record;
        BASE_CO_TRY(record.root, co_await update.finish());
        record.counts.files = files_;
        record.counts.directories = 2;
        record.next_slot = 2;
        Item live;
        live.key = kLiveKey;
        live.value = record.encode();
        ForestEdit out;
        out.put.push_back(std::move(live));
        co_return std::optional{std::move(out)};
    }
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }

  private:
    Inode inode(base::FileType type, InodeNumber parent) {
        Inode out;
        out.type = type;
        out.mode = 0644;
        out.nlink = type == base::FileType::directory ? 2 : 1;
        out.parent = parent;
        const auto time = 1'700'000'000'000'000'000 + static_cast<std::int64_t>(rng_.below(1ULL << 50U));
        out.mtime = out.ctime = out.atime = out.btime = base::Timestamp::from_ns(time);
        return out;
    }
    Item entry(InodeNumber directory, std::string name, InodeNumber number, base::FileType type) {
        Item out;
        out.key = TreeKey::first(directory, Kind::entry);
        out.key.sub = entry_hash(keys_.epoch, directory, name);
        Entry entry;
        entry.name = std::move(name);
        entry.inode = number;
        entry.type = type;
        out.value = std::move(entry);
        return out;
    }
    std::vector<Item> items() {
        std::vector<Item> out;
        auto root = inode(base::FileType::directory, kRootInode);
        root.nlink = 3;
        out.push_back(Item{TreeKey::first(kRootInode, Kind::inode), root});
        out.push_back(entry(kRootInode, "d", kDirectory, base::FileType::directory));
        out.push_back(Item{TreeKey::first(kDirectory, Kind::inode), inode(base::FileType::directory, kRootInode)});
        for (std::size_t i = 0; i < files_; ++i)
            out.push_back(entry(kDirectory, "file-" + std::to_string(i), kFirstFile + i, base::FileType::regular));
        std::sort(out.begin(), out.end(), [](const Item& a, const Item& b) { return a.key < b.key; });
        for (std::size_t i = 0; i < files_; ++i) {
            auto file = inode(base::FileType::regular, kDirectory);
            file.size = 8;
            out.push_back(Item{TreeKey::first(kFirstFile + i, Kind::inode), file});
            Extent extent;
            extent.block = test::some_block(i / 100);
            extent.offset = static_cast<std::uint32_t>(i % 100 * 8);
            extent.length = 8;
            TreeKey key = TreeKey::first(kFirstFile + i, Kind::extent);
            out.push_back(Item{key, extent});
        }
        return out;
    }

    const VolumeKeys& keys_;
    std::size_t files_;
    base::Rng& rng_;
};

/// Of one commit, on average.
struct Cost {
    double bytes = 0;     ///< sent: three copies of what was stored, five of the record
    double messages = 0;  ///< one to each holder of a group, and to each of the record
    double blocks = 0;
    double stored = 0;
};

struct Costs {
    Cost create, write, rename;
};

class SmallChanges : public LiveTest {
  protected:
    template <class Change>
    Cost cost_of(const Mount& on, Change change) {
        constexpr unsigned kRounds = 40;
        constexpr double kCopies = 3;
        constexpr double kHolders = 5;
        std::uint64_t records = 0;
        std::uint64_t record_bytes = 0;
        storage_.fail_write_record = [&](const base::Guid& key) -> std::optional<base::Error> {
            ++records;
            record_bytes += storage_.records().at(key).body.size();  // the one before: as long
            return std::nullopt;
        };
        const auto bytes = storage_.bytes_stored();
        const auto blocks = storage_.blocks_sent();
        const auto puts = storage_.puts();
        for (unsigned i = 0; i < kRounds; ++i) {
            world_.run_for(std::chrono::seconds{1});
            change(i);
            commit(on);
        }
        storage_.fail_write_record = nullptr;
        const auto each = [](std::uint64_t sum) { return static_cast<double>(sum) / kRounds; };
        Cost cost;
        cost.stored = each(storage_.bytes_stored() - bytes);
        cost.blocks = each(storage_.blocks_sent() - blocks);
        cost.bytes = kCopies * cost.stored + kHolders * each(record_bytes);
        cost.messages = kCopies * each(storage_.puts() - puts) + kHolders * each(records);
        return cost;
    }
    static Cost tell(std::size_t files, const char* what, Cost cost) {
        std::printf("%8zu files | %-14s | %6.0f bytes in %4.1f blocks | sent %7.0f bytes, %3.0f messages\n", files,
                    what, cost.stored, cost.blocks, cost.bytes, cost.messages);
        return cost;
    }

    Costs costs(std::size_t files) {
        volume_ = VolumeTest::create("of-" + std::to_string(files));
        ManyFiles editor{volume_->keys(), files, world_.env().rng};
        run(volume_->edit_forest(editor, ForestCheck::paths));
        Mount on;
        on.volume = volume_.get();
        on.tree = run(WorkingTree::open(env_, *volume_, 1000, 1000));
        const auto name = [files](unsigned i) { return "file-" + std::to_string(i * 7919ULL % files); };
        Costs out;
        out.create =
            tell(files, "create, write",
                 cost_of(on, [&](unsigned i) { file(on, kDirectory, "new-" + std::to_string(i), "12345678"); }));
        out.write = tell(files, "write",
                         cost_of(on, [&](unsigned i) { write(on, find(on, kDirectory, name(i)), 0, name(i)); }));
        out.rename = tell(files, "rename", cost_of(on, [&](unsigned i) {
                              run(on->rename(kDirectory, name(i), kDirectory, name(i) + "-moved"));
                          }));
        return out;
    }

    std::unique_ptr<Volume> volume_;
};

TEST_F(SmallChanges, LargeVolumesCostAtMostTwiceAsMuch) {
    const auto small = costs(1000);
    std::vector<std::size_t> sizes{30'000};
    if (std::getenv("PELAGO_LONG") != nullptr) sizes = {100'000, 1'000'000};
    for (const auto size : sizes) {
        const auto large = costs(size);
        for (const auto of : {&Costs::create, &Costs::write, &Costs::rename}) {
            const double most = of == &Costs::rename ? 2.3 : 2.0;  // four leaves: docs/notes/mount.md
            EXPECT_LE((large.*of).bytes, most * (small.*of).bytes) << size;
            EXPECT_LE((large.*of).messages, 2 * (small.*of).messages) << size;
        }
    }
}

}  // namespace
}  // namespace objstore
