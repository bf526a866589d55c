internal import COpenSSL

/// AES-256 in Galois/Counter Mode (NIST SP 800-38D): without the key a text can neither be read nor changed.
enum AESGCM {
    static let keySize = 32
    static let nonceSize = 12
    static let tagSize = 16

    /// - Parameters:
    ///   - nonce: never used before with this key.
    ///   - context: not in the result, but has to be the same again to open it.
    /// - Returns: the encrypted text, and the tag behind it.
    static func encryptText(_ text: [UInt8], key: [UInt8], nonce: [UInt8], context: [UInt8]) -> [UInt8] {
        let cipher = CipherContext(.encrypt, key: key, nonce: nonce, context: context)
        var sealed = cipher.updateCipher(text)
        // Encryption compares nothing: OpenSSL fails here for want of memory only.
        precondition(cipher.finishCipher(), "OpenSSL could not encrypt")
        sealed += cipher.tag
        return sealed
    }

    /// What ``encryptText(_:key:nonce:context:)`` made the text of; nil if it did not, with these arguments.
    static func decryptText(_ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: [UInt8], context: [UInt8]) -> [UInt8]? {
        guard sealed.count >= tagSize else { return nil }
        let cipher = CipherContext(.decrypt, key: key, nonce: nonce, context: context)
        let text = cipher.updateCipher(Array(sealed.dropLast(tagSize)))
        cipher.expectTag(tag: Array(sealed.suffix(tagSize)))
        return cipher.finishCipher() ? text : nil
    }
}

/// Owns an `EVP_CIPHER_CTX`; nothing else frees it.
///
/// What its preconditions say no peer decides: sizes of keys and nonces are fixed, texts are short, and OpenSSL fails
/// without memory alone. A forged text is told by ``finishCipher()``.
@safe private struct CipherContext: ~Copyable {
    enum Direction: Int32 {
        case decrypt = 0
        case encrypt = 1
    }

    private let pointer: OpaquePointer

    init(_ direction: Direction, key: [UInt8], nonce: [UInt8], context: [UInt8]) {
        // Keys are digests of SHA-256, and who opens a text has cut a nonce of this size from it, whatever came.
        precondition(key.count == AESGCM.keySize && nonce.count == AESGCM.nonceSize)
        guard let pointer = unsafe EVP_CIPHER_CTX_new() else {
            // Memory is all that it needs.
            preconditionFailure("EVP_CIPHER_CTX_new: out of memory")
        }
        unsafe self.pointer = pointer
        // 12 bytes are the size of a nonce that OpenSSL assumes.
        let isReady = unsafe EVP_CipherInit_ex(pointer, EVP_aes_256_gcm(), nil, key, nonce, direction.rawValue)
        // OpenSSL 3 has it, unless the system's own openssl.cnf takes it away: nothing that a peer sends plays a part.
        precondition(isReady == 1, "OpenSSL has no AES-256-GCM")
        var count: Int32 = 0
        let isTaken = unsafe EVP_CipherUpdate(pointer, nil, &count, context, Int32(context.count))
        // The context is of constants and the configuration, and of few bytes.
        precondition(isTaken == 1, "OpenSSL refused the context of a cipher")
    }

    deinit { unsafe EVP_CIPHER_CTX_free(pointer) }

    /// As many bytes as came in, encrypted or decrypted.
    func updateCipher(_ input: [UInt8]) -> [UInt8] {
        // OpenSSL takes no null pointer, which an empty array may be.
        if input.isEmpty { return [] }
        var output = [UInt8](repeating: 0, count: input.count)
        var count: Int32 = 0
        let isDone = unsafe EVP_CipherUpdate(pointer, &output, &count, input, Int32(input.count))
        // A stream cipher takes any bytes, and texts have a bound far below 2 GiB.
        precondition(isDone == 1 && Int(count) == input.count, "OpenSSL could not run a cipher")
        return output
    }

    func expectTag(tag: [UInt8]) {
        var tag = tag
        let isTaken = unsafe EVP_CIPHER_CTX_ctrl(pointer, EVP_CTRL_AEAD_SET_TAG, Int32(tag.count), &tag)
        // The tag is of the one size that it takes, whatever its bytes are.
        precondition(isTaken == 1, "OpenSSL refused the tag of a cipher")
    }

    /// Ends it. Of decryption: whether the text is what was encrypted.
    func finishCipher() -> Bool {
        // Nothing is written in this mode.
        var rest = [UInt8](repeating: 0, count: 16)
        var count: Int32 = 0
        return unsafe EVP_CipherFinal_ex(pointer, &rest, &count) == 1
    }

    var tag: [UInt8] {
        var tag = [UInt8](repeating: 0, count: AESGCM.tagSize)
        let isGiven = unsafe EVP_CIPHER_CTX_ctrl(pointer, EVP_CTRL_AEAD_GET_TAG, Int32(tag.count), &tag)
        // An encryption that was finished has one.
        precondition(isGiven == 1, "OpenSSL gave no tag")
        return tag
    }
}
