import Glibc
import TestSupport
import Testing
import Wire

@testable import Crypto

/// Known answers of libcrypto behind the protocol, and what it does with what does not fit.
@Suite("libcrypto")
struct LibCryptoTests {
    private let library: LibCrypto

    init() throws { library = try #require(LibCrypto()) }

    private func sha256(_ bytes: [UInt8]) -> [UInt8] { library.sha256(bytes.rawBytes) }

    private func extract(_ salt: [UInt8], _ secret: [UInt8]) -> [UInt8] {
        library.extract(salt: salt.rawBytes, secret: secret.rawBytes)
    }

    private func expand(_ secret: [UInt8], _ info: [UInt8], _ count: Int) -> [UInt8] {
        library.expand(secret: secret.rawBytes, info: info.rawBytes, count: count)
    }

    private func encrypt(_ key: [UInt8], _ block: [UInt8]) -> [UInt8]? {
        library.encryptBlock(key: key.rawBytes, block.rawBytes)
    }

    private func open(_ seal: Seal) -> [UInt8]? {
        library.openGCM(
            key: seal.key.rawBytes,
            nonce: seal.nonce.rawBytes,
            additional: seal.additional.rawBytes,
            sealed: seal.sealed.rawBytes,
        )
    }

    /// The arguments of `openGCM`.
    private struct Seal {
        var key: [UInt8]
        var nonce: [UInt8]
        var additional: [UInt8] = []
        var sealed: [UInt8]

        /// Test case 4 of "The Galois/Counter Mode of Operation" (McGrew, Viega), which SP 800-38D refers to.
        static let four = Seal(
            key: hex("feffe9928665731c6d6a8f9467308308"),
            nonce: hex("cafebabefacedbaddecaf888"),
            additional: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            sealed: hex(
                """
                42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e
                21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091
                5bc94fbc3221a5db94fae95ae7121a47
                """
            ),
        )
        static let plainOfFour = hex(
            """
            d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
            1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39
            """
        )
    }

    @Test("SHA-256 (FIPS 180-4)")
    func digests() {
        #expect(sha256([]) == hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"))
        #expect(sha256(Array("abc".utf8)) == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        let million = [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(sha256(million) == hex("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"))
    }

    @Test("HKDF (RFC 5869 A.1, A.2, A.3)")
    func derives() {
        let first = extract(hex("000102030405060708090a0b0c"), [UInt8](repeating: 0x0b, count: 22))
        #expect(first == hex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"))
        let okm = hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        #expect(expand(first, hex("f0f1f2f3f4f5f6f7f8f9"), 42) == okm)
        let second = extract(Array(0x60...0xaf), Array(0x00...0x4f))
        #expect(second == hex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244"))
        #expect(
            expand(second, Array(0xb0...0xff), 82)
                == hex(
                    """
                    b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
                    da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87
                    """
                )
        )
        let third = extract([], [UInt8](repeating: 0x0b, count: 22))
        #expect(third == hex("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"))
        #expect(
            expand(third, [], 42)
                == hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        )
    }

    @Test("bytes of any count are expanded, and no more than HKDF gives")
    func boundsExpansion() {
        let secret = [UInt8](repeating: 1, count: 32)
        let most = expand(secret, [], 255 * 32)
        #expect(most.count == 255 * 32)
        for count in [0, 1, 31, 32, 33, 64, 65] { #expect(expand(secret, [], count) == Array(most.prefix(count))) }
        #expect(expand(secret, [], 255 * 32 + 1).isEmpty)
        #expect(expand(secret, [], -1).isEmpty)
    }

    @Test("an extraction that failed expands to nothing")
    func expandsNoFailure() {
        #expect(expand([], [1], 16).isEmpty)
        #expect(expand([UInt8](repeating: 1, count: 31), [1], 16).isEmpty)
    }

    @Test("the secrets of a QUIC connection (RFC 9001 A.1)")
    func derivesQUIC() {
        let salt = hex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
        let initial = extract(salt, hex("8394c8f03e515708"))
        #expect(initial == hex("7db5df06e7a69e432496adedb00851923595221596ae2ae9fb8115c1e9ed0a44"))
        let client = expand(initial, hex("00200f746c73313320636c69656e7420696e00"), 32)
        #expect(client == hex("c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea"))
        let key = expand(client, hex("00100e746c7331332071756963206b657900"), 16)
        #expect(key == hex("1f369613dd76d5467730efcbe3b1a22d"))
        let mask = expand(client, hex("00100d746c733133207175696320687000"), 16)
        #expect(mask == hex("9f50449e04a0e810283a1e9933adedd2"))
        let bits = encrypt(mask, hex("d1b1c98dd7689fb8ec11d242b123dc9b"))
        #expect(bits?.prefix(5) == hex("437b9aec36")[...])
    }

    @Test("one block of AES-128 (FIPS 197 C.1, SP 800-38A F.1.1)")
    func encrypts() {
        let key = hex("000102030405060708090a0b0c0d0e0f")
        #expect(encrypt(key, hex("00112233445566778899aabbccddeeff")) == hex("69c4e0d86a7b0430d8cdb78070b4c55a"))
        let other = hex("2b7e151628aed2a6abf7158809cf4f3c")
        #expect(encrypt(other, hex("6bc1bee22e409f96e93d7e117393172a")) == hex("3ad77bb40d7a3660a89ecaf32466ef97"))
        for count in [0, 15, 17, 32] {
            #expect(encrypt(key, [UInt8](repeating: 0, count: count)) == nil)
            #expect(encrypt([UInt8](repeating: 0, count: count), key) == nil)
        }
    }

    @Test("AES-128-GCM opens (McGrew and Viega 1, 2, 4)")
    func opens() {
        let zeros = [UInt8](repeating: 0, count: 16)
        let nonce = [UInt8](repeating: 0, count: 12)
        #expect(open(Seal(key: zeros, nonce: nonce, sealed: hex("58e2fccefa7e3061367f1d57a4e7455a"))) == [])
        let second = hex("0388dace60b6a392f328c2b971b2fe78 ab6e47d42cec13bdf53a67b21257bddf")
        #expect(open(Seal(key: zeros, nonce: nonce, sealed: second)) == zeros)
        #expect(open(.four) == Seal.plainOfFour)
    }

    @Test("a changed bit anywhere opens nothing")
    func refusesForgery() {
        for place in [\Seal.key, \.nonce, \.additional, \.sealed] {
            for bit in 0..<(Seal.four[keyPath: place].count * 8) {
                var seal = Seal.four
                seal[keyPath: place][bit / 8] ^= 1 << (bit % 8)
                #expect(open(seal) == nil, "bit \(bit)")
            }
        }
        for count in 0..<Seal.four.sealed.count {
            var seal = Seal.four
            seal.sealed.removeLast(seal.sealed.count - count)
            #expect(open(seal) == nil, "\(count) bytes")
        }
    }

    @Test("keys and nonces of other sizes open nothing")
    func refusesSizes() {
        for place in [\Seal.key, \.nonce] {
            for count in [0, 1, 8, 11, 13, 15, 17, 24, 32] {
                var seal = Seal.four
                seal[keyPath: place] = [UInt8](repeating: 0, count: count)
                #expect(open(seal) == nil, "\(count)")
            }
        }
    }

    @Test("hundreds of thousands of calls that fit and that fail leave no memory behind")
    func leaksNothing() throws {
        var forged = Seal.four
        forged.sealed[0] ^= 1
        func work(_ rounds: Int) {
            for _ in 0..<rounds {
                let initial = extract(forged.key, forged.nonce)
                #expect(!expand(initial, forged.additional, 40).isEmpty)
                #expect(encrypt(forged.key, forged.key) != nil)
                #expect(open(.four) != nil)
                #expect(open(forged) == nil)
            }
        }
        work(2000)
        // Other tests of this process allocate at the same time: what is left behind would show in every batch, at least 300
        // bytes of a context each time.
        var growths: [Int] = []
        for _ in 0..<4 {
            let before = try #require(Self.residentBytes)
            work(20_000)
            growths.append(try #require(Self.residentBytes) - before)
        }
        #expect(growths.contains { $0 < 4_000_000 }, "\(growths)")
    }

    /// The memory of this process that is in use.
    private static var residentBytes: Int? {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return nil }
        defer { unsafe fclose(file) }
        let text = unsafe [UInt8](unsafeUninitializedCapacity: 128) { buffer, count in
            unsafe count = fread(buffer.baseAddress, 1, buffer.count, file)
        }
        let fields = String(decoding: text, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? Int(fields[1]).map { $0 * 4096 } : nil
    }
}
