// The contents of a simulated file: pages of 4 KiB that exist only where something was written.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.hpp"

namespace base::sim {

class SparseBytes {
  public:
    static constexpr std::uint64_t kPage = 4096;
    static constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 43U;  ///< 8 TiB: the page table stays bounded

    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::uint64_t pages() const { return allocated_; }
    [[nodiscard]] bool has_page(std::uint64_t index) const { return index < table_.size() && table_[index]; }

    /// How many pages a write there would have to allocate.
    [[nodiscard]] std::uint64_t pages_missing(std::uint64_t offset, std::uint64_t length) const {
        std::uint64_t missing = 0;
        for (auto page = offset / kPage; length != 0 && page <= (offset + length - 1) / kPage; ++page) {
            if (!has_page(page)) ++missing;
        }
        return missing;
    }

    std::size_t read(std::uint64_t offset, std::span<std::uint8_t> out) const {
        if (offset >= size_) return 0;
        const auto total = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), size_ - offset));
        for (std::size_t done = 0; done < total;) {
            const auto at = offset + done;
            const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(kPage - at % kPage, total - done));
            if (has_page(at / kPage)) {
                std::memcpy(out.data() + done, table_[at / kPage]->data() + at % kPage, part);
            } else {
                std::memset(out.data() + done, 0, part);
            }
            done += part;
        }
        return total;
    }

    void write(std::uint64_t offset, ByteView bytes) {
        if (bytes.empty()) return;
        if (offset + bytes.size() > size_) resize(offset + bytes.size());
        for (std::size_t done = 0; done < bytes.size();) {
            const auto at = offset + done;
            const auto part =
                static_cast<std::size_t>(std::min<std::uint64_t>(kPage - at % kPage, bytes.size() - done));
            auto& page = table_[at / kPage];
            if (!page) {
                page = std::make_unique<Page>();
                ++allocated_;
            }
            std::memcpy(page->data() + at % kPage, bytes.data() + done, part);
            done += part;
        }
    }

    void resize(std::uint64_t size) {
        if (size < size_) {
            const auto keep = (size + kPage - 1) / kPage;
            for (auto page = keep; page < table_.size(); ++page) allocated_ -= table_[page] ? 1 : 0;
            table_.resize(keep);
            // What is cut off must read as zeros if the file grows again.
            if (size % kPage != 0 && has_page(size / kPage)) {
                std::memset(table_[size / kPage]->data() + size % kPage, 0, kPage - size % kPage);
            }
        } else {
            table_.resize((size + kPage - 1) / kPage);
        }
        size_ = size;
    }

    /// Drops whole pages that hold only zeros in [offset, offset + length): a hole.
    void drop_page(std::uint64_t index) {
        if (!has_page(index)) return;
        table_[index].reset();
        --allocated_;
    }

    [[nodiscard]] Bytes all() const {
        Bytes out(static_cast<std::size_t>(size_));
        read(0, out);
        return out;
    }

  private:
    using Page = std::array<std::uint8_t, kPage>;

    std::vector<std::unique_ptr<Page>> table_;
    std::uint64_t size_ = 0;
    std::uint64_t allocated_ = 0;
};

}  // namespace base::sim
