// What a power loss leaves of the changes that were not synced.
#include <algorithm>
#include <cassert>

#include "disk_state.hpp"

namespace base::sim {

namespace {

constexpr std::uint64_t kSector = 512;

enum class Fate : std::uint8_t { lost, kept, torn, scattered, grown };

/// Draws the fate of each change, in the order in which they were made.
class Fates {
  public:
    Fates(PowerLoss loss, std::uint64_t pending, SeededRng& rng) : loss_{loss}, rng_{rng} {
        if (loss == PowerLoss::torn) survivors_ = rng.below(pending + 1);
    }

    Fate next() {
        switch (loss_) {
            case PowerLoss::lost: return Fate::lost;
            case PowerLoss::kept: return Fate::kept;
            case PowerLoss::torn: {
                const auto number = number_++;
                if (number == survivors_) return Fate::torn;
                return number < survivors_ ? Fate::kept : Fate::lost;
            }
            case PowerLoss::reordered: {
                const auto draw = rng_.below(10);
                if (draw < 4) return Fate::kept;
                if (draw < 7) return Fate::lost;
                return draw < 9 ? Fate::scattered : Fate::grown;
            }
        }
        return Fate::lost;
    }

  private:
    PowerLoss loss_;
    SeededRng& rng_;
    std::uint64_t survivors_ = 0;
    std::uint64_t number_ = 0;
};

/// Puts back what `change` overwrote; returns what it had written, to be written again if it survives.
Bytes undo(SparseBytes& data, const DataChange& change) {
    Bytes written;
    if (!change.truncate) {
        written.resize(static_cast<std::size_t>(change.length));
        data.read(change.offset, written);
    }
    data.resize(change.old_size);
    data.write(change.truncate ? change.new_size : change.offset, change.overwritten);
    return written;
}

/// Writes the sectors of the file for which `keeps(sector)`.
template <class Keeps>
void write_sectors(SparseBytes& data, std::uint64_t offset, ByteView bytes, Keeps keeps) {
    for (std::uint64_t done = 0; done < bytes.size();) {
        const auto at = offset + done;
        const auto part = std::min<std::uint64_t>(kSector - at % kSector, bytes.size() - done);
        if (keeps(at / kSector)) data.write(at, bytes.subspan(done, part));
        done += part;
    }
}

void redo(SparseBytes& data, const DataChange& change, ByteView written, Fate fate, SeededRng& rng) {
    if (change.truncate) {
        if (fate == Fate::kept) data.resize(change.new_size);
        return;
    }
    switch (fate) {
        case Fate::lost: return;
        case Fate::kept: data.write(change.offset, written); return;
        case Fate::torn: {
            const auto first = change.offset / kSector;
            const auto sectors = (change.offset + change.length - 1) / kSector - first + 1;
            const auto survive = rng.below(sectors);  // never all of them
            write_sectors(data, change.offset, written, [&](std::uint64_t sector) { return sector - first < survive; });
            return;
        }
        case Fate::scattered:
            write_sectors(data, change.offset, written, [&](std::uint64_t) { return rng.below(2) == 0; });
            return;
        case Fate::grown:  // the size reached the platter, the bytes did not
            if (change.new_size > data.size()) data.resize(change.new_size);
            return;
    }
}

void forget_cached_names(DiskNode& directory) {
    directory.cached = directory.durable;
    for (const auto& [name, node] : directory.cached) {
        if (node->directory) forget_cached_names(*node);
    }
}

}  // namespace

void Disk::State::lose_power(PowerLoss loss) {
    // One order over all changes, because `torn` cuts it at one point.
    struct Pending {
        std::uint64_t sequence;
        DataChange* data;
        NameOperation* name;
        Fate fate = Fate::lost;
    };
    std::vector<Pending> pending;
    for (const auto& [id, node] : dirty) {
        for (auto& change : node->changes) {
            if (change.standing == DataChange::Standing::pending)
                pending.push_back({change.sequence, &change, nullptr});
        }
    }
    for (auto& operation : name_operations) pending.push_back({operation.sequence, nullptr, &operation});
    std::sort(pending.begin(), pending.end(), [](const auto& a, const auto& b) { return a.sequence < b.sequence; });

    Fates fates{loss, pending.size(), rng};
    std::map<const DataChange*, Fate> of_change;
    for (auto& one : pending) {
        one.fate = fates.next();
        if (one.data != nullptr) {
            of_change[one.data] = one.fate;
        } else if (one.fate == Fate::kept) {
            apply_names(*one.name, /*only_new_name=*/false);
        } else if (one.fate == Fate::scattered || one.fate == Fate::torn) {
            apply_names(*one.name, /*only_new_name=*/one.name->changes.size() > 1 && crosses(*one.name));
        }
    }
    name_operations.clear();

    for (const auto& [id, node] : dirty) {
        std::vector<Bytes> written;
        for (auto change = node->changes.rbegin(); change != node->changes.rend(); ++change) {
            written.push_back(undo(node->data, *change));
        }
        for (auto& change : node->changes) {
            Fate fate = Fate::lost;
            if (change.standing == DataChange::Standing::synced) fate = Fate::kept;
            if (change.standing == DataChange::Standing::pending) fate = of_change.at(&change);
            redo(node->data, change, written.back(), fate, rng);
            written.pop_back();
        }
        node->changes.clear();
    }
    dirty.clear();
    forget_cached_names(*root);
    used_pages = count_pages(*root);
    note(mix(used_pages, static_cast<std::uint64_t>(loss)));
}

}  // namespace base::sim
